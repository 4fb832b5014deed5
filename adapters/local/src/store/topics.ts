import { StreamError } from '@sluice/driver'
import type { PartitionDescription, TopicDescription, TopicOrder, TopicSpec } from '@sluice/driver'
import { toPosition } from '../position.ts'
import type { Database } from './database.ts'

/** A partition as the main thread needs it. */
export interface PartitionInfo {
  /** The store's own number of it, unique in the folder and never used again. */
  readonly id: number
  /** What users see. */
  readonly name: string
  readonly ended: boolean
  readonly parents: readonly string[]
}

/** A topic as the main thread needs it. Goes stale when the number of partitions changes. */
export interface TopicInfo {
  readonly id: number
  readonly name: string
  readonly order: TopicOrder
  /** Grows with each change of the number of partitions. */
  readonly generation: number
  /** Every partition, oldest first. */
  readonly partitions: readonly PartitionInfo[]
}

interface TopicRow {
  readonly id: number
  readonly name: string
  readonly topic_order: TopicOrder
  readonly retention_ms: number | null
  readonly retention_bytes: number | null
  readonly generation: number
}

/** A row of the table `partitions`. */
export interface PartitionRow {
  readonly id: number
  readonly topic_id: number
  readonly name: string
  readonly generation: number
  readonly place: number
  readonly ended: number
  readonly parents: string
  readonly next_offset: number
  readonly first_offset: number
  readonly last_time: number
  readonly bytes: number
}

/** Topics and their partitions. */
export class Topics {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  info(name: string): TopicInfo {
    const topic = this.#topic(name)
    const partitions = this.partitions(topic.id).map((row) => ({
      id: row.id,
      name: row.name,
      ended: row.ended === 1,
      parents: parentsOf(row),
    }))
    return { id: topic.id, name, order: topic.topic_order, generation: topic.generation, partitions }
  }

  /** Every partition of the topic, oldest first. */
  partitions(topicId: number): readonly PartitionRow[] {
    return this.#database.all<PartitionRow>('SELECT * FROM partitions WHERE topic_id = ? ORDER BY id', topicId)
  }

  list(): readonly string[] {
    return this.#database.all<{ name: string }>('SELECT name FROM topics ORDER BY name').map((row) => row.name)
  }

  /** As {@link list}, with what the sweeper needs. */
  withRetention(): readonly {
    readonly id: number
    readonly retentionMs: number | null
    readonly retentionBytes: number | null
  }[] {
    return this.#database.all(
      `SELECT id, retention_ms AS retentionMs, retention_bytes AS retentionBytes FROM topics
       WHERE retention_ms IS NOT NULL OR retention_bytes IS NOT NULL`,
    )
  }

  create(name: string, spec: TopicSpec, defaultPartitions: number): 'created' | 'exists' {
    const existing = this.#database.get<TopicRow>('SELECT * FROM topics WHERE name = ?', name)
    if (existing !== undefined) return this.#compare(existing, spec)
    const order = spec.order ?? 'key'
    const id = this.#database.insert(
      'INSERT INTO topics (name, topic_order, retention_ms, retention_bytes, generation) VALUES (?, ?, ?, ?, 0)',
      name,
      order,
      spec.retentionMs ?? null,
      spec.retentionBytes ?? null,
    )
    const count = spec.partitions ?? (order === 'none' ? 1 : defaultPartitions)
    this.#addPartitions(
      id,
      0,
      0,
      Array.from({ length: count }, () => []),
    )
    return 'created'
  }

  #compare(topic: TopicRow, spec: TopicSpec): 'exists' {
    const open = this.partitions(topic.id).filter((row) => row.ended === 0).length
    const differences = [
      differs('partitions', spec.partitions, open),
      differs('order', spec.order, topic.topic_order),
      differs('retentionMs', spec.retentionMs, topic.retention_ms),
      differs('retentionBytes', spec.retentionBytes, topic.retention_bytes),
    ].filter((difference) => difference !== undefined)
    if (differences.length === 0) return 'exists'
    throw new StreamError(
      'conflict',
      `topic "${topic.name}" exists with ${differences.join(', ')}; change it, or ask for what it is`,
      { details: { topic: topic.name } },
    )
  }

  describe(name: string): TopicDescription {
    const topic = this.#topic(name)
    return {
      name,
      order: topic.topic_order,
      partitions: this.partitions(topic.id).map(describePartition),
      retentionMs: topic.retention_ms ?? undefined,
      retentionBytes: topic.retention_bytes ?? undefined,
    }
  }

  /** Ends every open partition and makes `count` new ones. */
  setPartitions(name: string, count: number): void {
    const topic = this.#topic(name)
    const all = this.partitions(topic.id)
    const open = all.filter((row) => row.ended === 0).toSorted((a, b) => a.place - b.place)
    if (open.length === count) return
    const step = greatestCommonDivisor(open.length, count)
    const parents = Array.from({ length: count }, (_, place) =>
      open.filter((row) => (row.place - place) % step === 0).map((row) => row.name),
    )
    const generation = topic.generation + 1
    this.#database.run('UPDATE partitions SET ended = 1 WHERE topic_id = ?', topic.id)
    this.#database.run('UPDATE topics SET generation = ? WHERE id = ?', generation, topic.id)
    this.#addPartitions(topic.id, generation, all.length, parents)
  }

  #addPartitions(
    topicId: number,
    generation: number,
    firstName: number,
    parents: readonly (readonly string[])[],
  ): void {
    for (const [place, parent] of parents.entries()) {
      this.#database.run(
        'INSERT INTO partitions (topic_id, name, generation, place, parents) VALUES (?, ?, ?, ?, ?)',
        topicId,
        String(firstName + place),
        generation,
        place,
        JSON.stringify(parent),
      )
    }
  }

  setRetention(name: string, retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>): void {
    const topic = this.#topic(name)
    this.#database.run(
      'UPDATE topics SET retention_ms = ?, retention_bytes = ? WHERE id = ?',
      'retentionMs' in retention ? (retention.retentionMs ?? null) : topic.retention_ms,
      'retentionBytes' in retention ? (retention.retentionBytes ?? null) : topic.retention_bytes,
      topic.id,
    )
  }

  /** Forgets the topic and its groups at once; the sweeper then frees the records a slice at a time. */
  delete(name: string): void {
    const topic = this.#topic(name)
    for (const table of ['queue_cursors', 'queue_items', 'members', 'early_acks']) {
      this.#database.run(`DELETE FROM ${table} WHERE topic_id = ?`, topic.id)
    }
    this.#database.run('DELETE FROM leases WHERE scope >= ? AND scope < ?', `${topic.id}/`, `${topic.id}0`)
    this.#database.run('UPDATE partitions SET topic_id = -topic_id WHERE topic_id = ?', topic.id)
    this.#database.run('DELETE FROM topics WHERE id = ?', topic.id)
  }

  id(name: string): number {
    return this.#topic(name).id
  }

  /** Whether the topic of that number is there: none has it again. */
  has(id: number): boolean {
    return this.#database.get('SELECT 1 FROM topics WHERE id = ?', id) !== undefined
  }

  #topic(name: string): TopicRow {
    const topic = this.#database.get<TopicRow>('SELECT * FROM topics WHERE name = ?', name)
    if (topic === undefined) throw topicNotFound(name)
    return topic
  }
}

/** The error for a topic that does not exist. */
function topicNotFound(name: string): StreamError {
  return new StreamError(
    'not-found',
    `topic "${name}" does not exist in this log; create it first (admin.createTopic, or: sluice topics create)`,
    {
      details: { topic: name },
    },
  )
}

/** The error for a reader of a topic that is not there any more. */
export function topicDeleted(): StreamError {
  return new StreamError('not-found', 'the topic was deleted while it was read; close the consumer')
}

/** The names of a partition's parents. */
export function parentsOf(row: PartitionRow): readonly string[] {
  return JSON.parse(row.parents) as readonly string[]
}

function describePartition(row: PartitionRow): PartitionDescription {
  const stored = row.next_offset - row.first_offset
  return {
    id: row.name,
    state: row.ended === 1 ? 'ended' : 'open',
    parents: parentsOf(row),
    ...(stored === 0 ? {} : { earliest: toPosition(row.first_offset), latest: toPosition(row.next_offset - 1) }),
    records: stored,
    bytes: row.bytes,
  }
}

function differs(name: string, asked: string | number | undefined, is: string | number | null): string | undefined {
  return asked === undefined || asked === is ? undefined : `${name} ${is ?? 'unlimited'} instead of ${asked}`
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
