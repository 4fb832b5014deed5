import type { Lease, PartitionId, Random } from '@sluice/driver'

/** What one member knows when it decides. */
export interface ScanView {
  readonly member: string
  readonly leases: readonly Lease[]
  /** Whether this member reads the partition now. */
  readonly isHeld: (partition: PartitionId) => boolean
  /** Whether the lease's owner stopped renewing it, or is known to be dead. */
  readonly isAbandoned: (lease: Lease) => boolean
  readonly isDead: (member: string) => boolean
  /**
   * Whether the member was seen to write lately. Only such a one is asked: a question is a write too, after which nobody
   * can tell for another `failoverMs` that the owner of the lease is dead.
   */
  readonly isAtWork: (member: string) => boolean
  /** Partitions that an earlier list had too. */
  readonly seenBefore: ReadonlySet<PartitionId>
  readonly random: Random
}

/** What one member does about it. */
export interface ScanPlan {
  /** Leases to make ours: free ones up to the fair share, and those stored as ours that we do not hold. */
  readonly take: readonly Lease[]
  /** Abandoned leases beyond our share, that are left to others. */
  readonly left: readonly Lease[]
  /** Leases stored as ours that we do not hold and that somebody asked for: a hand-over whose last write failed. */
  readonly passOn: readonly Lease[]
  /** Leases to ask their owners for. */
  readonly ask: readonly Lease[]
  /** Whether an earlier question of ours waits for its owner. */
  readonly asked: boolean
  /** Whether something is about to change, so that the next scan should come soon. */
  readonly hurry: boolean
}

/**
 * Decides who should read what. Pure. Free leases are taken up to `ceil(leases / members)` (KCL 2); when none is free, those
 * that are missing to `floor(leases / members)` are asked of members that have more, of each in proportion to what it
 * has above that, once that member was seen to write. Members that join at the same moment do not know of each other,
 * and then some leases move twice. Where none is missing one lease is asked of the most loaded member if it has at least
 * two more than we do. So counts end at most one apart and nothing moves back. A lease with an unended parent is nobody's yet.
 */
export function planScan(view: ScanView): ScanPlan {
  const { open, deferred } = openLeases(view)
  const ours = open.filter((lease) => lease.owner === view.member)
  const passOn = ours.filter((lease) => !view.isHeld(lease.partition) && isWantedByAnother(lease, view))
  const resumed = ours.filter((lease) => !view.isHeld(lease.partition) && !isWantedByAnother(lease, view))
  const untaken = open.filter((lease) => lease.owner !== view.member && isFree(lease, view))

  const loads = countLoads(open, view)
  const target = Math.ceil(open.length / loads.size)
  const mine = loads.get(view.member) ?? 0
  const shuffled = shuffle(untaken, view.random)
  const room = Math.max(0, target - mine)
  const taken = shuffled.slice(0, room)
  const left = shuffled.slice(room).filter(({ owner }) => owner !== undefined)
  const asked = open.some(
    (lease) => lease.handoffTo === view.member && lease.owner !== view.member && !isFree(lease, view),
  )
  const wanted = asked || untaken.length > taken.length ? [] : pickWanted(open, loads, mine + taken.length, view)
  const ask = wanted.filter(({ owner }) => owner !== undefined && view.isAtWork(owner))
  const hurry = asked || wanted.length > 0 || left.length > 0 || deferred
  return { take: [...resumed, ...taken], left, passOn, ask, asked, hurry }
}

/**
 * Leases that may be read: not ended, every parent ended or gone from the store. A parent missing from the very list that
 * shows its child for the first time may only have been created behind the reader's back, so that child waits for the next list.
 */
function openLeases(view: ScanView): { readonly open: readonly Lease[]; readonly deferred: boolean } {
  const byPartition = new Map(view.leases.map((lease) => [lease.partition, lease]))
  const candidates = view.leases.filter(
    (lease) => !lease.ended && lease.parents.every((parent) => byPartition.get(parent)?.ended ?? true),
  )
  const open = candidates.filter(
    ({ partition, parents }) => view.seenBefore.has(partition) || parents.every((parent) => byPartition.has(parent)),
  )
  return { open, deferred: open.length < candidates.length }
}

function isFree(lease: Lease, view: ScanView): boolean {
  return lease.owner === undefined || view.isAbandoned(lease)
}

function isWantedByAnother(lease: Lease, view: ScanView): boolean {
  return lease.handoffTo !== undefined && lease.handoffTo !== view.member && !view.isDead(lease.handoffTo)
}

/** Leases per living member, this one included; a lease somebody asked for counts as theirs already. */
function countLoads(open: readonly Lease[], view: ScanView): ReadonlyMap<string, number> {
  const loads = new Map<string, number>([[view.member, 0]])
  const add = (member: string, count: number): void => void loads.set(member, (loads.get(member) ?? 0) + count)
  for (const lease of open) {
    if (lease.owner === undefined || (lease.owner !== view.member && isFree(lease, view))) continue
    const wanted = lease.handoffTo !== undefined && !view.isDead(lease.handoffTo)
    add(lease.owner, wanted ? 0 : 1)
    if (wanted && lease.handoffTo !== undefined) add(lease.handoffTo, 1)
  }
  return loads
}

function pickWanted(
  open: readonly Lease[],
  loads: ReadonlyMap<string, number>,
  mine: number,
  view: ScanView,
): readonly Lease[] {
  const most = Math.max(...loads.values())
  if (most - mine < 2) return []
  const toAsk = Map.groupBy(
    open.filter((lease) => lease.owner !== undefined && lease.owner !== view.member && lease.handoffTo === undefined),
    (lease) => lease.owner,
  )
  const share = Math.floor(open.length / loads.size)
  const missing = share - mine
  if (missing < 1) {
    const richest = shuffle(
      [...toAsk].filter(([owner]) => loads.get(owner ?? '') === most),
      view.random,
    )
    return shuffle(richest[0]?.[1] ?? [], view.random).slice(0, 1)
  }
  const spare = (owner: string | undefined): number => Math.max(0, (loads.get(owner ?? '') ?? 0) - share)
  const allSpare = [...toAsk.keys()].reduce((sum, owner) => sum + spare(owner), 0)
  const richestFirst = [...toAsk].toSorted(([one], [other]) => spare(other) - spare(one))
  const wanted = richestFirst.flatMap(([owner, leases]) =>
    shuffle(leases, view.random).slice(0, Math.min(spare(owner), Math.ceil((missing * spare(owner)) / allSpare))),
  )
  return wanted.slice(0, missing)
}

/** In random order, so that members which scan at the same moment seldom want the same lease. */
function shuffle<T>(items: readonly T[], random: Random): readonly T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
