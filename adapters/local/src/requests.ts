import { StreamError } from '@sluice/driver'
import type { OutgoingRecord, SendOutcome } from '@sluice/driver'
import type { LeaseCommit } from '@sluice/lease'
import { encodeBatches, toPosition } from './codec.ts'
import type { StoreClient } from './store/client.ts'
import type { AppendPart, AppendRequest, Duplicate } from './store/protocol.ts'
import type { TopicView } from './topic.ts'

/** Records for one topic, with where their outcomes go. */
export interface TopicRecords {
  readonly topic: TopicView
  readonly records: readonly OutgoingRecord[]
  /** Of each record, its index in the outcomes. */
  readonly indexes: readonly number[]
}

/** Stores requests of one connection. */
export interface AppendOptions {
  readonly client: StoreClient
  readonly nowMs: () => number
  readonly dedup: boolean
  readonly commits: readonly LeaseCommit[]
  readonly operation: string
}

/** Records of one partition, on their way. */
interface Group {
  readonly topic: TopicView
  readonly place: number
  readonly records: OutgoingRecord[]
  readonly indexes: number[]
}

/** Tries after the number of partitions has changed meanwhile, or duplicates were found: more means something is wrong. */
const maxTries = 20

/**
 * Stores the records in one transaction, with the commits, and fills in `outcomes`. When the partitions they were
 * meant for have ended meanwhile, nothing was stored and they are spread anew: a key's records never land in a
 * partition that has ended. Rejects with `fenced` when a commit was refused; then nothing was stored.
 */
export async function appendAll(
  topics: readonly TopicRecords[],
  outcomes: (SendOutcome | undefined)[],
  options: AppendOptions,
  turn: number,
): Promise<void> {
  for (let attempt = 0; attempt < maxTries; attempt++) {
    const groups = topics.flatMap((each) => spread(each, outcomes, turn))
    if (groups.length === 0 && options.commits.length === 0) return
    const result = await post(groups, options)
    if (result.kind === 'stored') {
      for (const [index, group] of groups.entries()) fillIn(group, result.bases[index] ?? 0, outcomes)
      return
    }
    if (result.kind === 'fenced') throw fencedCommit(options.commits[result.commit])
    if (result.kind === 'duplicates') markDuplicates(groups, result.duplicates, outcomes)
    else await Promise.all(topics.map((each) => each.topic.refresh()))
  }
  throw new StreamError('unavailable', `${options.operation} failed: the partitions keep changing; try again`)
}

function post(groups: readonly Group[], options: AppendOptions): ReturnType<typeof appendCall> {
  const { buffer, batches } = encodeBatches(groups.map((group) => group.records))
  const parts: AppendPart[] = groups.map((group, index) => {
    const batch = batches[index]
    if (batch === undefined) throw new StreamError('internal', 'a batch was lost while it was encoded')
    const { id, generation } = group.topic.info
    const { offset, length, idsOffset, count } = batch
    return { topicId: id, generation, partition: group.topic.open[group.place]?.id ?? -1, offset, length, idsOffset, count }
  })
  return appendCall({ buffer, parts, commits: options.commits, nowMs: options.nowMs(), dedup: options.dedup }, options)
}

function appendCall(request: AppendRequest, options: AppendOptions): ReturnType<typeof options.client.call<'append'>> {
  return options.client.call('append', request, { operation: options.operation }, [request.buffer])
}

/** Groups the records that have no outcome yet by their partition. */
function spread(each: TopicRecords, outcomes: (SendOutcome | undefined)[], turn: number): readonly Group[] {
  const { topic, records, indexes } = each
  const groups: (Group | undefined)[] = Array.from({ length: topic.open.length })
  const found: Group[] = []
  let failedKeys: Map<string, StreamError> | undefined
  for (const [at, record] of records.entries()) {
    const index = indexes[at] ?? at
    if (outcomes[index] !== undefined) continue
    const failed = record.key === undefined ? undefined : failedKeys?.get(record.key)
    const place = failed ?? placeOf(record, topic, turn)
    if (typeof place !== 'number') {
      outcomes[index] = { ok: false, error: place }
      if (record.key !== undefined) (failedKeys ??= new Map()).set(record.key, place)
      continue
    }
    let group = groups[place]
    if (group === undefined) {
      group = { topic, place, records: [], indexes: [] }
      groups[place] = group
      found.push(group)
    }
    group.records.push(record)
    group.indexes.push(index)
  }
  return found
}

function placeOf(record: OutgoingRecord, topic: TopicView, turn: number): number | StreamError {
  if (record.partition !== undefined) return topic.placeOfName(record, record.partition)
  if (record.key !== undefined) return topic.placeOfKey(record.key)
  return turn % topic.open.length
}

function fillIn(group: Group, base: number, outcomes: (SendOutcome | undefined)[]): void {
  const partition = group.topic.open[group.place]?.name ?? ''
  const { indexes } = group
  for (let i = 0; i < indexes.length; i++) {
    outcomes[indexes[i] ?? 0] = { ok: true, partition, position: toPosition(base + i) }
  }
}

function markDuplicates(groups: readonly Group[], duplicates: readonly Duplicate[], outcomes: (SendOutcome | undefined)[]): void {
  for (const { part, index, partition, offset } of duplicates) {
    const group = groups[part]
    const at = group?.indexes[index]
    if (group === undefined || at === undefined) continue
    const name = group.topic.info.partitions.find((each) => each.id === partition)?.name
    const where = name === undefined ? {} : { partition: name, position: toPosition(offset) }
    outcomes[at] = { ok: true, ...where, duplicate: true }
  }
}

function fencedCommit(commit: LeaseCommit | undefined): StreamError {
  return fenced(commit?.partition ?? '?', commit?.epoch ?? 0)
}

/** The error for a commit of a tenure that is over. */
export function fenced(partition: string, epoch: number): StreamError {
  return new StreamError(
    'fenced',
    `partition ${partition} is no longer read under epoch ${epoch}; drop what was read under it`,
    { details: { partition, epoch } },
  )
}
