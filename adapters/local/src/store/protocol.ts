import type { Lease, PartitionLag, StartFrom, TopicDescription, TopicSpec } from '@sluice/driver'
import type { LeaseCommit } from '@sluice/lease'
import type { WireError } from '../errors.ts'
import type { TopicInfo } from './topics.ts'

/** One batch for one partition, inside {@link AppendRequest.buffer}. */
export interface AppendPart {
  readonly topicId: number
  /** The generation by which the partition was chosen; when it is stale nothing is stored. */
  readonly generation: number
  readonly partition: number
  readonly offset: number
  readonly length: number
  readonly idsOffset: number
  readonly count: number
}

/** Batches to store in one transaction, with progress to store beside them. */
export interface AppendRequest {
  readonly buffer: ArrayBuffer
  readonly parts: readonly AppendPart[]
  readonly commits: readonly LeaseCommit[]
  readonly nowMs: number
  /** Whether records whose ids are already there are looked for. */
  readonly dedup: boolean
}

/** A record that is stored already. */
export interface Duplicate {
  /** Index of the part, and of the record in it. */
  readonly part: number
  readonly index: number
  /** Where it stands. */
  readonly partition: number
  readonly offset: number
}

/** What became of an {@link AppendRequest}. Only `stored` has changed anything. */
export type AppendResult =
  | { readonly kind: 'stored'; readonly bases: readonly number[] }
  | { readonly kind: 'stale' }
  | { readonly kind: 'fenced'; readonly commit: number }
  | { readonly kind: 'duplicates'; readonly duplicates: readonly Duplicate[] }

/** Where a reader stands in one partition. */
export interface Cursor {
  readonly partition: number
  /** The next offset wanted. */
  readonly offset: number
}

/** Asks for batches, waiting until there are some. */
export interface ReadRequest {
  readonly cursors: readonly Cursor[]
  readonly records: number
  readonly bytes: number
  readonly waitMs: number
}

/** One stored batch. */
export interface ReadBatch {
  readonly partition: number
  readonly base: number
  readonly count: number
  readonly timeMs: number
  readonly body: Uint8Array
}

/** What {@link ReadRequest} brought. */
export interface ReadResult {
  readonly batches: readonly ReadBatch[]
  /** Partitions that ended and hold nothing at or behind their cursor, with their children's names. */
  readonly ended: readonly { readonly partition: number; readonly children: readonly string[] }[]
}

/** Names a group on a queue topic. */
export interface QueueGroup {
  readonly topicId: number
  readonly group: string
}

/** Records of a partition that are acknowledged though one before them is not. */
export interface EarlyAcks {
  readonly partition: string
  readonly positions: readonly string[]
}

/** Asks for records of a queue, waiting until there are some. */
export interface PullRequest extends QueueGroup {
  readonly records: number
  readonly bytes: number
  readonly waitMs: number
  readonly leaseMs: number
}

/** Records leased from one batch. The arrays are aligned. */
export interface PulledRun {
  readonly partition: number
  readonly timeMs: number
  readonly offsets: readonly number[]
  readonly deliveries: readonly number[]
  readonly attempts: readonly number[]
  /** The records, one behind the other. */
  readonly body: Uint8Array
}

/** Names one delivery of one record. */
export interface DeliveryToken {
  readonly partition: number
  readonly offset: number
  readonly delivery: number
}

/** How one delivery ends: `undefined` acknowledges, a number gives it back after so many milliseconds. */
export interface QueueSettlement extends DeliveryToken {
  readonly retryAfterMs: number | undefined
}

/** What the main thread can ask the store to do. */
export interface StoreCalls {
  append(request: AppendRequest): AppendResult
  read(request: ReadRequest): ReadResult
  /** Outcomes are index-aligned: false means fenced. */
  commit(commits: readonly LeaseCommit[]): readonly boolean[]
  topic(name: string): TopicInfo
  createTopic(request: {
    readonly name: string
    readonly spec: TopicSpec
    readonly defaultPartitions: number
  }): 'created' | 'exists'
  describeTopic(name: string): TopicDescription
  listTopics(request: undefined): readonly string[]
  setPartitions(request: { readonly name: string; readonly count: number }): void
  setRetention(request: {
    readonly name: string
    readonly retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>
  }): void
  deleteTopic(name: string): void
  listLeases(scope: string): readonly Lease[]
  createLease(lease: Lease): boolean
  replaceLease(lease: Lease): Lease | undefined
  removeLease(lease: Lease): boolean
  /** Fixes where the group begins, in every partition that has no progress; registers the member. */
  join(request: {
    readonly topic: string
    readonly group: string
    readonly owner: string
    readonly start: StartFrom
  }): void
  leave(request: QueueGroup & { readonly owner: string }): void
  /** The offsets a reader without a group starts from. */
  place(request: { readonly topic: string; readonly start: StartFrom }): readonly Cursor[]
  listGroups(topic: string): readonly string[]
  deleteGroup(request: { readonly topic: string; readonly group: string }): void
  /** Whether members are there that are not known to be dead. */
  hasMembers(request: { readonly topic: string; readonly group: string }): boolean
  seek(request: { readonly topic: string; readonly group: string; readonly to: StartFrom }): void
  lag(request: { readonly topic: string; readonly group: string; readonly nowMs: number }): readonly PartitionLag[]
  pull(request: PullRequest): readonly PulledRun[]
  settle(request: QueueGroup & { readonly items: readonly QueueSettlement[] }): readonly boolean[]
  extend(request: QueueGroup & { readonly tokens: readonly DeliveryToken[]; readonly leaseMs: number }): void
  release(request: QueueGroup & { readonly tokens: readonly DeliveryToken[] }): void
  readEarlyAcks(group: QueueGroup): readonly EarlyAcks[]
  writeEarlyAcks(request: QueueGroup & EarlyAcks): void
  /** Applies retention: one slice of work. Says whether more is left. */
  sweep(nowMs: number): boolean
}

/** The names of {@link StoreCalls}. */
export type StoreCall = keyof StoreCalls

/** What {@link StoreCalls} takes. */
export type CallRequest<C extends StoreCall> = Parameters<StoreCalls[C]>[0]

/** What {@link StoreCalls} gives. */
export type CallResult<C extends StoreCall> = ReturnType<StoreCalls[C]>

/** One call on its way. */
export type StoreMessage = {
  [C in StoreCall]: { readonly kind: 'call'; readonly id: number; readonly call: C; readonly request: CallRequest<C> }
}[StoreCall]

/** From the main thread to the store. */
export type ToStore =
  | StoreMessage
  /** Ends a read or pull that waits: it answers at once with nothing. */
  | { readonly kind: 'cancel'; readonly id: number }
  | { readonly kind: 'close' }

/** The answer to one call. `spare` is the buffer that came with it, for another use. */
export type Answer =
  | { readonly id: number; readonly ok: true; readonly result: unknown; readonly spare?: ArrayBuffer }
  | { readonly id: number; readonly ok: false; readonly error: WireError; readonly spare?: ArrayBuffer }

/** From the store to the main thread. */
export type FromStore =
  | { readonly kind: 'ready' }
  /** It could not be opened, or it lost its file. Nothing is answered after. */
  | { readonly kind: 'failed'; readonly error: WireError }
  | { readonly kind: 'answers'; readonly answers: readonly Answer[] }
