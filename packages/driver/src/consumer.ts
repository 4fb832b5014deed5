import type { StreamError } from './errors.ts'
import type { IncomingRecord, OutgoingRecord, PartitionId, Position, QueuedRecord } from './record.ts'
import type { SendOutcome } from './producer.ts'

/**
 * Where to read from. `positions` names the first record wanted in each partition (inclusive); in partitions left out a
 * reader or a new group starts at the earliest record, and a group that is moved stays where it is. A position or time
 * before retention means the earliest record, one in the future the latest.
 */
export type StartFrom =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'time'; readonly timeMs: number }
  | { readonly kind: 'position'; readonly positions: Readonly<Record<PartitionId, Position>> }

/** How much a source may hand out now. */
export interface Credit {
  readonly records: number
  /** May be passed by one record, so that a record larger than the credit still gets through. */
  readonly bytes: number
}

/**
 * What core wants to know about partitions. Log sources call these; queue sources never do.
 * A partition's records are handed out only between `assigned` and `lost` (or the end of `revoking`).
 */
export interface PartitionEvents {
  /** Called before any record of the partition. `epoch` is the fencing token of this tenure and grows with each. */
  assigned(partition: PartitionId, epoch: number): void
  /**
   * The partitions are to be handed over. Core stops starting handlers, lets the running ones finish, commits, and
   * resolves; at the latest after `deadlineMs`. Then they are no longer ours.
   */
  revoking(partitions: readonly PartitionId[], deadlineMs: number): Promise<void>
  /** They are gone already: somebody else may be reading them. No commit for them can succeed any more. */
  lost(partitions: readonly PartitionId[], reason?: StreamError): void
  /**
   * The partition will bring no more records (a split, merge or growth). When core has settled all of them it commits
   * with `ended`, and only then may its children be read, by anybody. Called again after a rewind into the partition.
   */
  ended(partition: PartitionId, children: readonly PartitionId[]): void
  /** The source failed for good and will bring nothing more. Transient trouble is the source's own to mend. */
  failed(error: StreamError): void
}

/** Progress of one partition: every record up to `through`, inclusive, is settled. */
export interface Commit {
  readonly partition: PartitionId
  readonly epoch: number
  /** `undefined` only together with `ended`, for a partition that ended without a record. */
  readonly through: Position | undefined
  /** The partition had ended and everything in it is settled. */
  readonly ended: boolean
}

/** What became of one commit. `fenced`: the partition is no longer ours. */
export type CommitOutcome = { readonly ok: true } | { readonly ok: false; readonly error: StreamError }

/** A record for a topic, as part of a transaction. */
export interface TransactionRecord {
  readonly topic: string
  readonly record: OutgoingRecord
}

/** Reads a partitioned log. Records of one partition come in order; progress is a position for each partition. */
export interface LogSource {
  readonly shape: 'log'
  /**
   * Resolves with the next records, at most `credit`, as soon as there are any; with none after about a second.
   * Records of partitions whose tenure ended meanwhile are left out. One call at a time.
   */
  poll(credit: Credit, signal: AbortSignal): Promise<readonly IncomingRecord[]>
  /** Stores progress; outcomes are index-aligned. Rejects only when nothing is known of any. Safe to repeat. */
  commit(commits: readonly Commit[], signal: AbortSignal): Promise<readonly CommitOutcome[]>
  /** Later polls leave these partitions out. Keeps the assignment. */
  pause(partitions: readonly PartitionId[]): void
  /** Takes back `pause`. */
  resume(partitions: readonly PartitionId[]): void
  /** Moves the read cursor of an assigned partition: the next record handed out is the one at `at`. Commits are untouched. */
  rewind(partition: PartitionId, at: Position): void
  /**
   * Whether everything that was stored when reading began has been handed out. Only where `describeTopic` tells no `latest`:
   * there a poll that brings nothing would be taken for the end, and could be a backend that is slow.
   */
  caughtUp?(): boolean
  /** Stores records and progress in one transaction: all or nothing. Only with the capability `transactions`. */
  transact?(
    records: readonly TransactionRecord[],
    commits: readonly Commit[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]>
  /** Leaves the group: gives partitions up at once, without calling the events. Ends a poll that waits. Idempotent. */
  close(): Promise<void>
}

/** How a queue record is settled. `retry` gives it back to the group, not before the delay where `retryDelay` is granted. */
export type Settlement =
  | { readonly token: string; readonly verb: 'ack' }
  | { readonly token: string; readonly verb: 'retry'; readonly delayMs: number }

/** What became of one settlement. `fenced`: the lease had run out; the record will come again. */
export type SettleOutcome = { readonly ok: true } | { readonly ok: false; readonly error: StreamError }

/** Reads an acknowledged queue. Each record is leased to us and must be settled, extended or released. */
export interface QueueSource {
  readonly shape: 'queue'
  /** How long a record stays ours without `extend`, in milliseconds. */
  readonly leaseMs: number
  /** As {@link LogSource.poll}. */
  pull(credit: Credit, signal: AbortSignal): Promise<readonly QueuedRecord[]>
  /** Settles deliveries; outcomes are index-aligned. */
  settle(items: readonly Settlement[], signal: AbortSignal): Promise<readonly SettleOutcome[]>
  /** Keeps deliveries ours for `leaseMs` from now. Unknown tokens are passed over. */
  extend(tokens: readonly string[], signal: AbortSignal): Promise<void>
  /** Gives untouched deliveries back at once, without counting an attempt where the backend can. */
  release(tokens: readonly string[], signal: AbortSignal): Promise<void>
  /** Leaves the group. Ends a pull that waits. Idempotent. */
  close(): Promise<void>
}

/** Either shape; the topic's order and the backend's capabilities decide which. */
export type Source = LogSource | QueueSource

/** How to read a topic. */
export interface SubscribeOptions {
  /** The consumer group; `undefined` reads every partition alone, without a group, leases or commits. */
  readonly group: string | undefined
  /** Names this member in the group; unique among its members. */
  readonly member: string
  /** Where partitions without progress start. Without a group: where reading starts. */
  readonly start: StartFrom
  readonly events: PartitionEvents
}
