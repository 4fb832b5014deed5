import type { Lease, PartitionId } from '@sluice/driver'

interface Sighting {
  readonly version: number
  /** When this version was first seen, by this process's monotonic clock. */
  readonly sinceMs: number
}

/** Remembers since when each lease has not changed: how a member tells a dead owner without a common clock. */
export class Sightings {
  readonly #failoverMs: number
  #seen: ReadonlyMap<PartitionId, Sighting> = new Map()

  constructor(failoverMs: number) {
    this.#failoverMs = failoverMs
  }

  /** Takes in a whole list, read at `nowMs`. Returns the partitions that earlier lists had too. */
  record(leases: readonly Lease[], nowMs: number): ReadonlySet<PartitionId> {
    const before = this.#seen
    const seen = new Map<PartitionId, Sighting>()
    for (const { partition, version } of leases) {
      const known = before.get(partition)
      seen.set(partition, known?.version === version ? known : { version, sinceMs: nowMs })
    }
    this.#seen = seen
    return new Set(before.keys())
  }

  /**
   * Whether the lease stayed as it is for longer than the failover time. Strictly longer: its holder gives it up at
   * exactly that age, counted from before the write that we could only see after it.
   */
  isAbandoned(lease: Lease, nowMs: number): boolean {
    const known = this.#seen.get(lease.partition)
    return known !== undefined && known.version === lease.version && nowMs - known.sinceMs > this.#failoverMs
  }

  /** How soon the first of these leases is abandoned if nobody writes it, in milliseconds; `Infinity`: all are already. */
  abandonedInMs(leases: readonly Lease[], nowMs: number): number {
    const since = leases.map(({ partition }) => this.#seen.get(partition)?.sinceMs ?? nowMs)
    const left = since.map((sinceMs) => sinceMs + this.#failoverMs - nowMs).filter((ms) => ms >= 0)
    // A moment later than that: strictly longer.
    return Math.min(Infinity, ...left) + 1
  }
}
