import type { PartitionId, Position } from './record.ts'

/**
 * Who reads one partition for one group, and how far it is. There is no time in it: a lease counts as abandoned when
 * its `version` has not changed for the failover time by the reader's own clock.
 */
export interface Lease {
  /** Topic and group, or whatever else is balanced as one. */
  readonly scope: string
  readonly partition: PartitionId
  /** The member that reads it; `undefined`: nobody. */
  readonly owner: string | undefined
  /** Grows by one whenever the owner changes: the fencing token. */
  readonly epoch: number
  /** A member that asks the owner to hand over; the owner drains, commits and makes it the owner. */
  readonly handoffTo: string | undefined
  /** The last settled position; `undefined`: none yet. */
  readonly checkpoint: Position | undefined
  /** The partition ended and all of it is settled. */
  readonly ended: boolean
  /** Partitions that must be `ended` (or unknown) before this one is read. */
  readonly parents: readonly PartitionId[]
  /** Set by the store: changes with every write. What compare-and-swap compares. */
  readonly version: number
}

/** Keeps leases. Every write is a compare-and-swap, so any number of members can share one. */
export interface LeaseStore {
  /** Every lease of the scope. */
  list(scope: string, signal?: AbortSignal): Promise<readonly Lease[]>
  /** Adds a lease unless there is one of that scope and partition; says whether it did. The given `version` is ignored. */
  create(lease: Lease, signal?: AbortSignal): Promise<boolean>
  /** Replaces the lease if the stored one still has `lease.version`; returns it as stored, or `undefined` when somebody was first. */
  replace(lease: Lease, signal?: AbortSignal): Promise<Lease | undefined>
  /** Deletes it if the stored one still has `lease.version`; says whether it did. */
  remove(lease: Lease, signal?: AbortSignal): Promise<boolean>
}
