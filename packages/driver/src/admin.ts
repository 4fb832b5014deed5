import type { TopicOrder } from './capabilities.ts'
import type { StartFrom } from './consumer.ts'
import type { PartitionId, Position } from './record.ts'

/** How a topic should be. What is left out is the backend's default. */
export interface TopicSpec {
  readonly partitions?: number
  /** Default `key`. */
  readonly order?: TopicOrder
  /** Records older than this may go, in milliseconds. */
  readonly retentionMs?: number
  /** The oldest records may go once the topic is larger than this, in bytes. */
  readonly retentionBytes?: number
}

/** One partition of a topic. */
export interface PartitionDescription {
  readonly id: PartitionId
  /** `ended`: takes no more records; its keys live on in its children. */
  readonly state: 'open' | 'ended'
  /** Partitions that must be drained before this one may be read. */
  readonly parents: readonly PartitionId[]
  /** First record still stored, where the backend tells. */
  readonly earliest?: Position
  /** Last record stored, where the backend tells. */
  readonly latest?: Position
  /** Records stored, where the backend tells. */
  readonly records?: number
  /** Bytes stored, where the backend tells. */
  readonly bytes?: number
}

/** A topic as the backend describes it. */
export interface TopicDescription {
  readonly name: string
  readonly order: TopicOrder
  readonly partitions: readonly PartitionDescription[]
  readonly retentionMs: number | undefined
  readonly retentionBytes: number | undefined
}

/** How far a group is behind in one partition. */
export interface PartitionLag {
  readonly partition: PartitionId
  /** Records not yet settled, with the capability `lag: messages`. */
  readonly messages?: number
  /** Age of the oldest record not yet settled, in milliseconds, with the capability `lag: age`; 0 when there is none. */
  readonly ageMs?: number
  /** The last committed position; `undefined`: nothing is committed. */
  readonly committed: Position | undefined
  /** The member that reads it now, where that is known. */
  readonly owner: string | undefined
}

/** Looks after topics and groups. Calls are idempotent where they can be; a missing topic is `not-found`. */
export interface DriverAdmin {
  /** Resolves when the topic can be used. A topic of that name that fits the spec: `exists`; one that does not: rejects with `conflict`. */
  createTopic(name: string, spec: TopicSpec, signal: AbortSignal): Promise<'created' | 'exists'>
  describeTopic(name: string, signal: AbortSignal): Promise<TopicDescription>
  listTopics(signal: AbortSignal): Promise<readonly string[]>
  /** Changes the number of open partitions. Key order is kept: the old ones are drained before the new are read. */
  setPartitions(name: string, count: number, signal: AbortSignal): Promise<void>
  setRetention(
    name: string,
    retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>,
    signal: AbortSignal,
  ): Promise<void>
  /** Deletes the topic, its records and its groups' progress. */
  deleteTopic(name: string, signal: AbortSignal): Promise<void>
  /** Groups that have progress or members on the topic. */
  listGroups(topic: string, signal: AbortSignal): Promise<readonly string[]>
  /** Forgets a group's progress. `conflict` while members run. */
  deleteGroup(topic: string, group: string, signal: AbortSignal): Promise<void>
  /**
   * Moves a group; other groups stay where they are, and so do the partitions that a position is not given for. The
   * group need not exist yet: then these begin at their earliest record.
   */
  seek(topic: string, group: string, to: StartFrom, signal: AbortSignal): Promise<void>
  /** A group that is not known is `not-found`. */
  lag(topic: string, group: string, signal: AbortSignal): Promise<readonly PartitionLag[]>
}
