import type { Clock, Lease, LeaseStore, Logger, PartitionId, Position, Random, StreamError } from '@sluice/driver'

/** A partition the backend has, as {@link LeaseCoordinatorOptions.listPartitions} reports it. */
export interface ListedPartition {
  readonly id: PartitionId
  /** Partitions this one came from by split, merge or growth. Empty: none. */
  readonly parents: readonly PartitionId[]
  /**
   * True: there is nothing to read in it, so its lease starts as ended and its children may start. Looked at only when
   * the lease is created. A closed partition that still holds wanted records is not `ended`. Default: false.
   */
  readonly ended?: boolean
  /** The progress with which its lease is created: a place to begin, in the reader's own terms. Default: none. */
  readonly checkpoint?: Position
}

/**
 * What the coordinator tells the reader of partitions. Every `acquired` is followed by exactly one end of that tenure:
 * `lost`, a `revoking` that resolved, a checkpoint with `ended`, or `close()`. What a handler throws is logged.
 */
export interface LeaseEvents {
  /**
   * This member reads the partition from now on; `lease.epoch` is the fencing token and `lease.checkpoint` the progress.
   * Not waited for, except by `revoking`. When it fails, the lease is reported `lost` and released.
   */
  acquired(lease: Lease): void | Promise<void>
  /**
   * Another member asked for these partitions. Finish, checkpoint, resolve: then they are handed over. When it has not
   * resolved after `deadlineMs` they are reported `lost` and handed over all the same.
   */
  revoking(partitions: readonly PartitionId[], deadlineMs: number): Promise<void>
  /** They are no longer ours, and no checkpoint for them will be accepted. `fenced`: somebody else has them; `unavailable`: they could not be renewed. */
  lost(partitions: readonly PartitionId[], reason?: StreamError): void
  /**
   * The store, `listPartitions` or `acquired` failed with an error that does not pass by itself: there is no permission, what is
   * asked is gone, or a checkpoint cannot be read. It is tried again all the same, and said each time, until `close()`.
   */
  failed(error: StreamError): void
}

/** What a {@link LeaseCoordinator} is made of. */
export interface LeaseCoordinatorOptions {
  /** Must serialise its writes, and `list` must show every write acknowledged before it began. */
  readonly store: LeaseStore
  /** What is shared as one: usually topic and group. */
  readonly scope: string
  /** Names this member; unique among the living members of the scope. */
  readonly member: string
  readonly clock: Clock
  readonly random: Random
  /** Default: silent. Store outages are `warn`, changes of ownership `info`. */
  readonly logger?: Logger
  readonly events: LeaseEvents
  /**
   * Every partition the backend has now. Called at start, every `discoverEveryMs`, on `refresh()` and when a partition ended,
   * with the leases that there are.
   */
  listPartitions(signal: AbortSignal, leases: readonly Lease[]): Promise<readonly ListedPartition[]>
  /** Whether that member is known to be gone, so that its leases are free at once. Default: nobody is. */
  isDead?(owner: string): boolean
  /**
   * After this long without a renewal a lease is given up by its holder, and after this long without a change it is
   * taken by others. All members of a scope use one value. Renewals go out every third of it, and calls
   * to the store and to `listPartitions` time out a little sooner. Milliseconds. Default: 10 000 (as in KCL).
   */
  readonly failoverMs?: number
  /** How long an owner may take to drain a partition it is asked for. Milliseconds. Default: 30 000 (as in KCL 3). */
  readonly handoffTimeoutMs?: number
  /** One `list` of the store each. Milliseconds. Default: half of `failoverMs`; jittered by 10 %. */
  readonly scanEveryMs?: number
  /** One `listPartitions` each. Milliseconds. Default: 60 000. */
  readonly discoverEveryMs?: number
}

/** The options with every default filled in, and the times that follow from them. */
export interface Settings {
  readonly failoverMs: number
  readonly renewEveryMs: number
  /** Less than a renewal interval, so that a call which hangs does not swallow the next renewal. */
  readonly callTimeoutMs: number
  readonly handoffTimeoutMs: number
  readonly scanEveryMs: number
  /** The next scan comes this soon while something is expected to change. */
  readonly hurryMs: number
  readonly discoverEveryMs: number
}

/** Fills in the defaults. */
export function toSettings(options: LeaseCoordinatorOptions): Settings {
  const failoverMs = options.failoverMs ?? 10_000
  const renewEveryMs = Math.floor(failoverMs / 3)
  return {
    failoverMs,
    renewEveryMs,
    callTimeoutMs: renewEveryMs * 0.9,
    handoffTimeoutMs: options.handoffTimeoutMs ?? 30_000,
    scanEveryMs: options.scanEveryMs ?? failoverMs / 2,
    hurryMs: failoverMs / 10,
    discoverEveryMs: options.discoverEveryMs ?? 60_000,
  }
}
