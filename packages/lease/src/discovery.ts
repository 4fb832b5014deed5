import type { Lease, PartitionId } from '@sluice/driver'
import type { ListedPartition } from './options.ts'
import type { StoreAccess } from './store-access.ts'

/**
 * Creates a lease for every listed partition that has none; says whether there was any to create. A partition's lease is
 * created after those of its parents, so that a store with the child has the parents too. Rejects at the first failure.
 */
export async function createMissingLeases(
  store: StoreAccess,
  scope: string,
  listed: readonly ListedPartition[],
  existing: readonly Lease[],
): Promise<boolean> {
  const known = new Set(existing.map((lease) => lease.partition))
  const missing = listed.filter((partition) => !known.has(partition.id))
  for (const generation of generations(missing)) {
    await Promise.all(generation.map((partition) => store.create(unownedLease(scope, partition))))
  }
  return missing.length > 0
}

/** Partitions grouped so that no group has a parent in itself or in a later one; a cycle comes out as one last group. */
export function generations<P extends ListedPartition>(partitions: readonly P[]): readonly (readonly P[])[] {
  const groups: (readonly P[])[] = []
  let rest = partitions
  while (rest.length > 0) {
    const waiting = new Set<PartitionId>(rest.map((partition) => partition.id))
    const ready = rest.filter((partition) => !partition.parents.some((parent) => waiting.has(parent)))
    if (ready.length === 0) return [...groups, rest]
    groups.push(ready)
    rest = rest.filter((partition) => partition.parents.some((parent) => waiting.has(parent)))
  }
  return groups
}

function unownedLease(scope: string, partition: ListedPartition): Lease {
  return {
    scope,
    partition: partition.id,
    owner: undefined,
    epoch: 0,
    handoffTo: undefined,
    checkpoint: partition.checkpoint,
    ended: partition.ended ?? false,
    parents: partition.parents,
    version: 0,
  }
}
