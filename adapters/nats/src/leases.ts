import type { Lease, LeaseStore } from '@sluice/driver'
import type { Entry, Store } from './store.ts'

/** A lease without what its key and revision say. */
type StoredLease = Pick<Lease, 'owner' | 'epoch' | 'handoffTo' | 'checkpoint' | 'ended' | 'parents'>

/** Leases in the bucket, a key for each. The revision of a key is the version of its lease. */
export class BucketLeaseStore implements LeaseStore {
  readonly #store: Store

  constructor(store: Store) {
    this.#store = store
  }

  async list(scope: string): Promise<readonly Lease[]> {
    const entries = await this.#store.list<StoredLease>(`leases.${scope}.*`)
    return entries.map((entry) => toLease(scope, entry))
  }

  async create(lease: Lease): Promise<boolean> {
    return (await this.#store.create(keyOf(lease), toStored(lease))) !== undefined
  }

  async replace(lease: Lease): Promise<Lease | undefined> {
    const version = await this.#store.replace(keyOf(lease), toStored(lease), lease.version)
    return version === undefined ? undefined : { ...lease, version }
  }

  async remove(lease: Lease): Promise<boolean> {
    return this.#store.remove(keyOf(lease), lease.version)
  }
}

function keyOf(lease: Lease): string {
  return `leases.${lease.scope}.${lease.partition}`
}

function toStored(lease: Lease): StoredLease {
  const { owner, epoch, handoffTo, checkpoint, ended, parents } = lease
  return { owner, epoch, handoffTo, checkpoint, ended, parents }
}

function toLease(scope: string, { key, value, revision }: Entry<StoredLease>): Lease {
  const { owner, epoch, handoffTo, checkpoint, ended, parents } = value
  const partition = key.slice(key.lastIndexOf('.') + 1)
  return { scope, partition, owner, epoch, handoffTo, checkpoint, ended, parents, version: revision }
}
