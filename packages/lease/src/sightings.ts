import type { Lease, PartitionId } from '@sluice/driver'

interface Sighting {
  readonly lease: Lease
  /** When this version was first seen, by this process's monotonic clock. */
  readonly sinceMs: number
}

/** Remembers since when each lease has not changed: how a member tells a dead owner without a common clock. */
export class Sightings {
  readonly #failoverMs: number
  #seen: ReadonlyMap<PartitionId, Sighting> = new Map()
  /** When a member was last seen to have written a lease of its own. */
  #signs: ReadonlyMap<string, number> = new Map()

  constructor(failoverMs: number) {
    this.#failoverMs = failoverMs
  }

  /** Takes in a whole list, read at `nowMs`. Returns the partitions that earlier lists had too. */
  record(leases: readonly Lease[], nowMs: number): ReadonlySet<PartitionId> {
    const before = this.#seen
    const seen = new Map<PartitionId, Sighting>()
    const signs = new Map([...this.#signs].filter(([, sinceMs]) => nowMs - sinceMs <= this.#failoverMs / 2))
    for (const lease of leases) {
      const known = before.get(lease.partition)
      const same = known?.lease.version === lease.version
      seen.set(lease.partition, same ? known : { lease, sinceMs: nowMs })
      if (!same && known !== undefined && lease.owner !== undefined && isByOwner(lease, known.lease))
        signs.set(lease.owner, nowMs)
    }
    this.#seen = seen
    this.#signs = signs
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
   * Whether this member was seen to write a lease of its own within half of the failover time, as every living one is that
   * has any. Only a hint: it may have died since.
   */
  isAtWork(member: string): boolean {
    return this.#signs.has(member)
  }

  /** How soon the first of these leases is abandoned if nobody writes it, in milliseconds; `Infinity`: all are already. */
  abandonedInMs(leases: readonly Lease[], nowMs: number): number {
    const since = leases.map(({ partition }) => this.#seen.get(partition)?.sinceMs ?? nowMs)
    const left = since.map((sinceMs) => sinceMs + this.#failoverMs - nowMs).filter((ms) => ms >= 0)
    // A moment later than that: strictly longer.
    return Math.min(Infinity, ...left) + 1
  }
}

/** Whether the last change of a lease tells that its owner lives. A question of another member, or its end, does not. */
function isByOwner(lease: Lease, before: Lease): boolean {
  return lease.owner !== before.owner || lease.handoffTo === before.handoffTo
}
