import { StreamError } from '@sluice/driver'
import type { ErrorCode, Lease, LeaseStore } from '@sluice/driver'
import { ManualClock } from '@sluice/driver/testing'
import { LeaseCoordinator, MemoryLeaseStore } from '@sluice/lease'
import type { LeaseCoordinatorOptions, LeaseEvents, ListedPartition } from '@sluice/lease'

export const scope = 'orders/billing'
export const failoverMs = 10_000

/** A store that can be cut off, and that remembers what it was asked. */
export class TestStore implements LeaseStore {
  readonly inner = new MemoryLeaseStore()
  readonly asked: string[] = []
  mode: 'up' | 'down' | 'silent' | 'loses-replies' = 'up'
  /** With what some calls are refused, while it is there. */
  refusal: { readonly of: readonly string[]; readonly code: ErrorCode } | undefined

  list = (of: string): Promise<readonly Lease[]> => this.#answer('list', () => this.inner.list(of))
  create = (lease: Lease): Promise<boolean> => this.#answer('create', () => this.inner.create(lease))
  replace = (lease: Lease): Promise<Lease | undefined> => this.#answer('replace', () => this.inner.replace(lease))
  remove = (lease: Lease): Promise<boolean> => this.#answer('remove', () => this.inner.remove(lease))

  async lease(partition: string): Promise<Lease> {
    const found = (await this.inner.list(scope)).find((lease) => lease.partition === partition)
    if (found === undefined) throw new Error(`no lease of ${partition}`)
    return found
  }

  async change(partition: string, change: Partial<Lease>): Promise<void> {
    const stored = await this.inner.replace({ ...(await this.lease(partition)), ...change })
    if (stored === undefined) throw new Error(`the lease of ${partition} changed meanwhile`)
  }

  async #answer<T>(operation: string, run: () => Promise<T>): Promise<T> {
    this.asked.push(operation)
    if (this.mode === 'down') throw new Error('store is down')
    if (this.mode === 'silent') return new Promise(() => undefined)
    if (this.refusal?.of.includes(operation) === true) throw new StreamError(this.refusal.code, `no ${operation}`)
    const result = await run()
    if (this.mode === 'loses-replies' && operation !== 'list') throw new Error('connection reset')
    return result
  }
}

export interface Setup {
  readonly clock: ManualClock
  readonly store: TestStore
  readonly partitions: ListedPartition[]
  readonly log: string[]
  join(member: string, change?: Partial<LeaseCoordinatorOptions & LeaseEvents>): Promise<LeaseCoordinator>
}

export function setup(...ids: string[]): Setup {
  const clock = new ManualClock()
  const store = new TestStore()
  const partitions: ListedPartition[] = ids.map((id) => ({ id, parents: [] }))
  const log: string[] = []
  const join: Setup['join'] = async (member, change = {}) => {
    const coordinator = new LeaseCoordinator({
      store,
      scope,
      member,
      clock,
      random: () => 0.5,
      failoverMs,
      listPartitions: async () => partitions,
      ...change,
      events: {
        acquired:
          change.acquired ?? (({ partition, epoch }) => void log.push(`${member} acquired ${partition}@${epoch}`)),
        revoking: change.revoking ?? (async (revoked) => void log.push(`${member} revoking ${revoked.join()}`)),
        lost: (lost, reason) => void log.push(`${member} lost ${lost.join()} ${reason?.code}`),
        failed: ({ code, message }) => void log.push(`${member} failed ${code}: ${message}`),
      },
    })
    await coordinator.start()
    return coordinator
  }
  return { clock, store, partitions, log, join }
}

export function heldBy(coordinator: LeaseCoordinator): string {
  return coordinator
    .held()
    .map(({ partition }) => partition)
    .toSorted()
    .join(' ')
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'ok',
    (error: unknown) => (StreamError.is(error) ? error.code : String(error)),
  )
}
