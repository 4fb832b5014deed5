import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream'
import type { ConsumerConfig, ConsumerInfo } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import { sleep, StreamError } from '@sluice/driver'
import type { Clock, PartitionId, StartFrom } from '@sluice/driver'
import { decodeName, encodeName, toSequence } from './codec.ts'
import type { Connection } from './connection.ts'
import { isConsumerMissing } from './errors.ts'
import type { Entry, Store } from './store.ts'
import type { TopicView } from './topic.ts'

/** Where a group begins: the first sequence wanted, in the stream or in single partitions. */
export interface Place {
  readonly from: number
  readonly positions?: Readonly<Record<PartitionId, number>>
}

/** What the bucket knows of a group. Written once for all its members, so that all begin at the same place. */
export interface GroupInfo extends Place {
  /** Grows when a group of a queue is moved: each time it has a new durable consumer. */
  readonly generation: number
}

/** How long the server keeps a consumer that only answers a question, in milliseconds. */
const probeMs = 5_000
/** How soon to look again after somebody else wrote first, in milliseconds. */
const lookEveryMs = 20

/** The first sequence of a partition that a place wants. */
export function startOf(place: Place, partition: PartitionId): number {
  return place.positions?.[partition] ?? place.from
}

/** What is shared as one by the coordinator of leases. */
export function scopeOf(topicId: string, group: string): string {
  return `${topicId}.${encodeName(group)}`
}

/** The durable consumer of a group on a topic without order. */
export function durableOf(group: string, generation: number): string {
  return generation === 0 ? encodeName(group) : `${encodeName(group)}=n${generation}`
}

/** Groups in the bucket, and the questions to the stream that they begin with. */
export class Groups {
  readonly #connection: Connection
  readonly #store: Store
  readonly #clock: Clock

  constructor(connection: Connection, store: Store, clock: Clock) {
    this.#connection = connection
    this.#store = store
    this.#clock = clock
  }

  find(topic: TopicView, group: string): Promise<Entry<GroupInfo> | undefined> {
    return this.#store.get<GroupInfo>(keyOf(topic, group))
  }

  /** Rejects with `not-found` when the group is not known. */
  async get(topic: TopicView, group: string): Promise<Entry<GroupInfo>> {
    const found = await this.find(topic, group)
    if (found !== undefined) return found
    throw new StreamError('not-found', `group "${group}" is not known on topic "${topic.name}"`, {
      details: { topic: topic.name, group },
    })
  }

  /** The group, made to begin at `start` when it is new. */
  async join(topic: TopicView, group: string, start: StartFrom): Promise<GroupInfo> {
    for (;;) {
      const found = await this.find(topic, group)
      if (found !== undefined) return found.value
      const info: GroupInfo = { ...(await this.place(topic, start)), generation: 0 }
      if ((await this.#store.create(keyOf(topic, group), info)) !== undefined) return info
      // In a cluster the write of whoever was first may not be readable yet.
      await sleep(this.#clock, lookEveryMs)
    }
  }

  /**
   * Makes the group begin at `to`, whether it was known or not; moved to positions, in the partitions they name alone. Gives
   * what was before and what is now.
   */
  async move(
    topic: TopicView,
    group: string,
    to: StartFrom,
  ): Promise<{ readonly before: GroupInfo | undefined; readonly now: GroupInfo }> {
    const place = await this.place(topic, to)
    for (;;) {
      const found = await this.find(topic, group)
      const kept = place.positions === undefined ? undefined : found?.value
      const positions = { ...kept?.positions, ...place.positions }
      const now: GroupInfo = {
        ...place,
        ...(kept && { from: kept.from }),
        positions,
        generation: (found?.value.generation ?? 0) + (found === undefined ? 0 : 1),
      }
      const written =
        found === undefined
          ? await this.#store.create(keyOf(topic, group), now)
          : await this.#store.replace(keyOf(topic, group), now, found.revision)
      if (written !== undefined) return { before: found?.value, now }
      await sleep(this.#clock, lookEveryMs)
    }
  }

  async forget(topic: TopicView, group: string): Promise<void> {
    await this.#store.purge(keyOf(topic, group))
    if (topic.info.order === 'key') await this.#store.purge(`leases.${scopeOf(topic.info.id, group)}.*`)
  }

  async list(topic: TopicView): Promise<readonly string[]> {
    const keys = await this.#store.keys(`groups.${topic.info.id}.*`)
    return keys.map((key) => decodeName(key.slice(key.lastIndexOf('.') + 1))).toSorted()
  }

  /** Turns a start into sequences, as of now. */
  async place(topic: TopicView, start: StartFrom): Promise<Place> {
    if (start.kind === 'earliest') return { from: 1 }
    if (start.kind === 'time') return { from: await this.#sequenceAt(topic, start.timeMs) }
    const { state } = await this.#connection.streams.streams.info(topic.stream)
    const end = state.last_seq + 1
    if (start.kind === 'latest') return { from: end }
    const positions = Object.entries(start.positions).map(([partition, position]): [PartitionId, number] => [
      partition,
      Math.max(1, Math.min(end, toSequence(position, partition))),
    ])
    return { from: 1, positions: Object.fromEntries(positions) }
  }

  /**
   * Records of a partition from a sequence on. Of an ended one, up to server 2.9, as many as there can be at most.
   */
  async pending(topic: TopicView, from: number, partition: PartitionId): Promise<number> {
    const subject = topic.filterOf(partition)
    const filter = this.#connection.filterFor(subject, topic.byId(partition)?.ended === true)
    const info = await this.#probe(topic, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: Math.max(1, from),
      ...filter,
    })
    if (subject === undefined || filter.filter_subject !== undefined) return info.num_pending
    const { state } = await this.#connection.streams.streams.info(topic.stream, { subjects_filter: subject })
    return Math.min(info.num_pending, state.subjects?.[subject] ?? 0)
  }

  /** When the first record from a sequence on was stored, in milliseconds; `undefined`: there is none. */
  async timeOf(topic: TopicView, from: number, filter: string | undefined): Promise<number | undefined> {
    const message = await this.#connection.firstMessage(topic.stream, filter ?? '>', from)
    return message?.time.getTime()
  }

  /** Which sequence is the first not older than a time: what a consumer that began there has before it. */
  async #sequenceAt(topic: TopicView, timeMs: number): Promise<number> {
    const info = await this.#probe(topic, {
      deliver_policy: DeliverPolicy.StartTime,
      opt_start_time: new Date(Math.max(1, timeMs)).toISOString(),
    })
    return info.delivered.stream_seq + 1
  }

  /** Makes a consumer for what the server says of it. */
  async #probe(topic: TopicView, start: Partial<ConsumerConfig>): Promise<ConsumerInfo> {
    const { consumers } = this.#connection.streams
    const info = await consumers.add(topic.stream, {
      ack_policy: AckPolicy.None,
      mem_storage: true,
      inactive_threshold: nanos(probeMs),
      num_replicas: 1,
      ...start,
    })
    try {
      await consumers.delete(topic.stream, info.name)
    } catch (error) {
      if (!isConsumerMissing(error)) throw error
    }
    return info
  }
}

function keyOf(topic: TopicView, group: string): string {
  return `groups.${topic.info.id}.${encodeName(group)}`
}
