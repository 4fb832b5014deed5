import type { Lease, PartitionId } from '@sluice/driver'

interface Sighting {
  readonly lease: Lease
  /** When this version was first seen, by this process's monotonic clock. */
  readonly sinceMs: number
  /** When its owner was last seen to have written it. `-Infinity`: never. */
  readonly signMs: number
}

/** Remembers since when each lease has not changed: how a member tells a dead owner without a common clock. */
export class Sightings {
  readonly #failoverMs: number
  #seen: ReadonlyMap<PartitionId, Sighting> = new Map()
  #atWork: ReadonlySet<string> = new Set()

  constructor(failoverMs: number) {
    this.#failoverMs = failoverMs
  }

  /** Takes in a whole list, read at `nowMs`. Returns the partitions that earlier lists had too. */
  record(leases: readonly Lease[], nowMs: number): ReadonlySet<PartitionId> {
    const before = this.#seen
    const seen = new Map<PartitionId, Sighting>()
    for (const lease of leases) {
      const known = before.get(lease.partition)
      if (known?.lease.version === lease.version) seen.set(lease.partition, known)
      else seen.set(lease.partition, { lease, sinceMs: nowMs, signMs: signOf(lease, known, nowMs) })
    }
    this.#seen = seen
    this.#atWork = this.#membersAtWork(nowMs)
    return new Set(before.keys())
  }

  /**
   * Whether the lease stayed as it is for longer than the failover time. Strictly longer: its holder gives it up at
   * exactly that age, counted from before the write that we could only see after it.
   */
  isAbandoned(lease: Lease, nowMs: number): boolean {
    const known = this.#seen.get(lease.partition)
    return known !== undefined && known.lease.version === lease.version && nowMs - known.sinceMs > this.#failoverMs
  }

  /**
   * Whether this member was seen to write most of its leases within half of the failover time, as every living one does. Only a
   * hint: it may have died since.
   */
  isAtWork(member: string): boolean {
    return this.#atWork.has(member)
  }

  /** How soon the first of these leases is abandoned if nobody writes it, in milliseconds; `Infinity`: all are already. */
  abandonedInMs(leases: readonly Lease[], nowMs: number): number {
    const since = leases.map(({ partition }) => this.#seen.get(partition)?.sinceMs ?? nowMs)
    const left = since.map((sinceMs) => sinceMs + this.#failoverMs - nowMs).filter((ms) => ms >= 0)
    // A moment later than that: strictly longer.
    return Math.min(Infinity, ...left) + 1
  }

  /** A question of another member and its withdrawal look like a write of the owner, so one lease alone tells nothing. */
  #membersAtWork(nowMs: number): ReadonlySet<string> {
    const owned = [...this.#seen.values()].filter(({ lease }) => lease.owner !== undefined && !lease.ended)
    const byOwner = Map.groupBy(owned, ({ lease }) => lease.owner ?? '')
    const isRecent = ({ signMs }: Sighting): boolean => nowMs - signMs <= this.#failoverMs / 2
    const atWork = [...byOwner].filter(([, sightings]) => sightings.filter(isRecent).length * 2 > sightings.length)
    return new Set(atWork.map(([owner]) => owner))
  }
}

/** When its owner last wrote a lease that has changed now: a question, or being handed the lease, is the write of another. */
function signOf(lease: Lease, before: Sighting | undefined, nowMs: number): number {
  if (before === undefined || lease.owner !== before.lease.owner) return -Infinity
  return lease.handoffTo === before.lease.handoffTo ? nowMs : before.signMs
}
