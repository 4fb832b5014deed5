import type { DriverAdmin, Headers, PartitionId, Position, TopicSpec } from '@sluice/driver'
import type { Start } from './consumer.ts'

/** Looks after topics and groups. */
export interface Admin {
  /** Resolves when the topic can be used. One of that name that fits the spec: `exists`; one that does not: `conflict`. */
  createTopic(name: string, spec?: TopicSpec): Promise<'created' | 'exists'>
  /** Its order, limits of time and size, and partitions with their first and last positions. `not-found` when there is none. */
  describeTopic(name: string): ReturnType<DriverAdmin['describeTopic']>
  /** The names of all topics. */
  listTopics(): Promise<readonly string[]>
  /** Changes the number of open partitions. Key order is kept: the old ones are drained before the new are read. */
  setPartitions(name: string, count: number): Promise<void>
  /** How long records are kept, and up to which size of the topic. */
  setRetention(name: string, retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>): Promise<void>
  /** Deletes the topic, its records and its groups' progress. */
  deleteTopic(name: string): Promise<void>
  /** Groups that have progress or members on the topic. */
  listGroups(topic: string): Promise<readonly string[]>
  /** Forgets a group's progress. `conflict` while members run. */
  deleteGroup(topic: string, group: string): Promise<void>
  /** Moves a group to another place in the topic: replay is a seek back. Other groups stay where they are. */
  seek(topic: string, group: string, to: Start): Promise<void>
  /** What a group has still to do, for each partition. A group that is not known is `not-found`. */
  lag(topic: string, group: string): ReturnType<DriverAdmin['lag']>
  /**
   * Dead letters, oldest first, that were not sent back yet: those of the topic, where `<topic>.dead-letters` exists, else
   * those that are stored in the topic itself. A topic that does not exist either is `not-found`.
   */
  deadLetters(topic: string): AsyncIterable<DeadLetter>
  /**
   * Sends dead letters back to the topic they came from, for the group that gave up on them; other groups pass them over.
   * Takes the name of the topic, or of its dead-letter topic, as {@link Admin.deadLetters} does. Gives their number.
   */
  sendBack(topic: string, filter?: (letter: DeadLetter) => boolean): Promise<number>
}

/** A record that could not be handled, with where it came from and why. */
export interface DeadLetter {
  /** The id of the record that could not be handled. */
  readonly id: string
  /** The id of the dead letter itself. */
  readonly letterId: string
  readonly key: string | undefined
  /** The original bytes; none when {@link DeadLetter.incomplete}. */
  readonly body: Uint8Array
  /**
   * A letter that was too large for one record and whose first half, with key, headers and bytes, retention has removed. It
   * cannot be sent back.
   */
  readonly incomplete: boolean
  /** The original headers. */
  readonly headers: Headers
  readonly origin: {
    readonly topic: string
    readonly group: string
    readonly partition: PartitionId
    readonly position: Position | undefined
    readonly time: Date | undefined
  }
  readonly attempts: number
  /** The error's code where it had one. */
  readonly errorCode: string | undefined
  readonly reason: string
  /** When it was dead-lettered. */
  readonly time: Date
  /** Where it stands in the dead-letter topic. */
  readonly partition: PartitionId
  readonly position: Position | undefined
}
