import type { Lease, LeaseStore, PartitionId } from '@sluice/driver'

/** Leases in memory, shared by the members of one process that are given the same object. Gone with it. */
export class MemoryLeaseStore implements LeaseStore {
  readonly #scopes = new Map<string, Map<PartitionId, Lease>>()
  #lastVersion = 0

  async list(scope: string): Promise<readonly Lease[]> {
    return [...(this.#scopes.get(scope)?.values() ?? [])]
  }

  async create(lease: Lease): Promise<boolean> {
    const leases = this.#scopes.get(lease.scope) ?? new Map<PartitionId, Lease>()
    if (leases.has(lease.partition)) return false
    this.#scopes.set(lease.scope, leases)
    this.#put(leases, lease)
    return true
  }

  async replace(lease: Lease): Promise<Lease | undefined> {
    const leases = this.#scopes.get(lease.scope)
    if (leases?.get(lease.partition)?.version !== lease.version) return undefined
    return this.#put(leases, lease)
  }

  async remove(lease: Lease): Promise<boolean> {
    const leases = this.#scopes.get(lease.scope)
    if (leases?.get(lease.partition)?.version !== lease.version) return false
    leases.delete(lease.partition)
    if (leases.size === 0) this.#scopes.delete(lease.scope)
    return true
  }

  /** Versions come from one counter, so that a lease removed and created again is not taken for the old one. */
  #put(leases: Map<PartitionId, Lease>, lease: Lease): Lease {
    this.#lastVersion += 1
    const stored = { ...lease, version: this.#lastVersion }
    leases.set(lease.partition, stored)
    return stored
  }
}
