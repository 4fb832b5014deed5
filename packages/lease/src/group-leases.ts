import { sleep } from '@sluice/driver'
import type { Clock, Lease, LeaseStore, PartitionId, Position } from '@sluice/driver'

/** How soon to look again after somebody else wrote first, in milliseconds. */
const lookEveryMs = 5

/**
 * Takes a lease from whoever has it and puts progress to `checkpoint`; the next tenure begins there. Nothing where there is
 * no lease. `seen` is the lease as it was listed a moment ago: only when it has changed since is it looked up.
 */
export async function resetLease(
  store: LeaseStore,
  clock: Clock,
  scope: string,
  partition: PartitionId,
  checkpoint?: Position,
  seen?: Lease,
): Promise<void> {
  for (let known = seen; ; known = undefined) {
    const lease = known ?? (await store.list(scope)).find((each) => each.partition === partition)
    if (lease === undefined) return
    const free = { owner: undefined, handoffTo: undefined, checkpoint, ended: false }
    if ((await store.replace({ ...lease, ...free, epoch: lease.epoch + 1 })) !== undefined) return
    await sleep(clock, lookEveryMs)
  }
}

/**
 * Whether members run: whether somebody renews its leases, which a member does within a third of `failoverMs`. Takes as
 * long as that where leases were left behind.
 */
export async function hasLivingMembers(
  store: LeaseStore,
  clock: Clock,
  scope: string,
  failoverMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  const before = versionsOfOwned(await store.list(scope))
  const end = clock.monotonic() + failoverMs
  while (before.size > 0) {
    const now = versionsOfOwned(await store.list(scope))
    if ([...now].some(([partition, version]) => before.get(partition) !== version)) return true
    if (now.size === 0 || clock.monotonic() > end) return false
    await sleep(clock, failoverMs / 10, signal)
  }
  return false
}

function versionsOfOwned(leases: readonly Lease[]): ReadonlyMap<PartitionId, number> {
  return new Map(leases.filter((lease) => lease.owner !== undefined).map((lease) => [lease.partition, lease.version]))
}
