import { StreamError } from '@sluice/driver'
import type { Lease, LeaseStore, Position } from '@sluice/driver'
import { ManualClock, settle } from '@sluice/driver/testing'
import { LeaseCoordinator, MemoryLeaseStore } from '@sluice/lease'
import type { LeaseCoordinatorOptions, LeaseEvents, ListedPartition } from '@sluice/lease'
import { describe, expect, it } from 'vitest'

const scope = 'orders/billing'
const failoverMs = 10_000

/** A store that can be cut off, and that remembers what it was asked. */
class TestStore implements LeaseStore {
  readonly inner = new MemoryLeaseStore()
  readonly asked: string[] = []
  mode: 'up' | 'down' | 'silent' | 'loses-replies' = 'up'

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
    const result = await run()
    if (this.mode === 'loses-replies' && operation !== 'list') throw new Error('connection reset')
    return result
  }
}

interface Setup {
  readonly clock: ManualClock
  readonly store: TestStore
  readonly partitions: ListedPartition[]
  readonly log: string[]
  join(member: string, change?: Partial<LeaseCoordinatorOptions & LeaseEvents>): Promise<LeaseCoordinator>
}

function setup(...ids: string[]): Setup {
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
      },
    })
    await coordinator.start()
    return coordinator
  }
  return { clock, store, partitions, log, join }
}

function heldBy(coordinator: LeaseCoordinator): string {
  return coordinator
    .held()
    .map(({ partition }) => partition)
    .toSorted()
    .join(' ')
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'ok',
    (error: unknown) => (StreamError.is(error) ? error.code : String(error)),
  )
}

describe('taking', () => {
  it('creates and takes every lease when alone, under epoch 1', async () => {
    const { join, log } = setup('0', '1')
    expect(heldBy(await join('a'))).toBe('0 1')
    expect(log).toEqual(['a acquired 0@1', 'a acquired 1@1'])
  })

  it('does not read a partition that is listed as ended', async () => {
    const { join, partitions } = setup('0')
    partitions.splice(0, 1, { id: '0', parents: [], ended: true }, { id: '1', parents: ['0'] })
    expect(heldBy(await join('a'))).toBe('1')
  })

  it('finds new partitions by itself after discoverEveryMs, and at once on refresh', async () => {
    const { join, partitions, clock } = setup('0')
    const a = await join('a', { discoverEveryMs: 30_000 })
    partitions.push({ id: '1', parents: [] })
    await a.refresh()
    expect(heldBy(a)).toBe('0 1')
    partitions.push({ id: '2', parents: [] })
    await clock.advance(36_000)
    expect(heldBy(a)).toBe('0 1 2')
  })

  it('takes over the leases of a silent member, but not before it gave them up itself', async () => {
    const { join, store, clock, log } = setup('0')
    const ownStore = new TestStore()
    Object.assign(ownStore, { inner: store.inner })
    const a = await join('a', { store: ownStore })
    const b = await join('b')
    ownStore.mode = 'down'
    await clock.advance(failoverMs)
    expect([heldBy(a), heldBy(b)]).toEqual(['', ''])
    await clock.advance(failoverMs)
    expect([heldBy(a), heldBy(b)]).toEqual(['', '0'])
    expect(log).toEqual(['a acquired 0@1', 'a lost 0 unavailable', 'b acquired 0@2'])
  })

  it('does not overwrite a lease that changed since it was listed', async () => {
    const { join, store } = setup('0')
    const list = store.list
    store.list = async (of): Promise<readonly Lease[]> => {
      const leases = await list(of)
      if (leases.some(({ owner }) => owner === undefined)) await store.change('0', { owner: 'b', epoch: 1 })
      return leases
    }
    const a = await join('a')
    expect(heldBy(a)).toBe('')
    expect(await store.lease('0')).toMatchObject({ owner: 'b', epoch: 1 })
  })

  it('creates no lease of a child before those of its parents', async () => {
    const { join, store, partitions } = setup()
    partitions.push({ id: 'child', parents: ['parent'] }, { id: 'parent', parents: [] })
    const create = store.create
    store.create = async (lease): Promise<boolean> => {
      if (lease.partition === 'parent') throw new Error('store is down')
      return create(lease)
    }
    await join('a')
    expect(await store.inner.list(scope)).toEqual([])
  })

  it('takes the leases of a member known to be dead without waiting', async () => {
    const { join, store } = setup('0')
    await join('a', { store: Object.assign(new TestStore(), { inner: store.inner }) })
    expect(heldBy(await join('b', { isDead: (owner) => owner === 'a' }))).toBe('0')
  })

  it('takes again, under a new epoch, what a lost answer left in its name', async () => {
    const { join, store, clock, log } = setup('0')
    store.mode = 'loses-replies'
    const a = await join('a')
    await clock.advance(5000)
    expect(await store.lease('0')).toMatchObject({ owner: 'a' })
    expect(heldBy(a)).toBe('')
    const { epoch } = await store.lease('0')
    store.mode = 'up'
    await clock.advance(5000)
    expect(log).toEqual([`a acquired 0@${epoch + 1}`])
  })

  it('releases a partition whose reader could not start, and tries again', async () => {
    const { join, clock, log } = setup('0')
    let tries = 0
    const acquired = async ({ epoch }: Lease): Promise<void> => {
      if (++tries === 1) throw new Error('no iterator')
      log.push(`reading under ${epoch}`)
    }
    await join('a', { acquired })
    await clock.advance(6000)
    expect(log).toEqual(['a lost 0 internal', 'reading under 2'])
  })
})

describe('keeping', () => {
  it('costs one list for each scan and one write for each lease and third of the failover time when idle', async () => {
    const { join, store, clock } = setup('0', '1')
    await join('a', { scanEveryMs: 5000, discoverEveryMs: 1_000_000 })
    store.asked.length = 0
    await clock.advance(60_000)
    expect(store.asked.filter((operation) => operation === 'list').length).toBe(12)
    expect(store.asked.filter((operation) => operation === 'replace').length).toBe(36)
  })

  it('holds on through an outage shorter than the failover time', async () => {
    const { join, store, clock, log } = setup('0')
    const a = await join('a')
    store.mode = 'silent'
    await clock.advance(failoverMs - 1)
    store.mode = 'up'
    expect(heldBy(a)).toBe('0')
    expect(log).toEqual(['a acquired 0@1'])
  })

  it('gives up what it cannot renew for the failover time, and comes back under a new epoch', async () => {
    const { join, store, clock, log } = setup('0')
    const a = await join('a')
    store.mode = 'silent'
    await clock.advance(failoverMs)
    expect(heldBy(a)).toBe('')
    store.mode = 'up'
    await clock.advance(failoverMs)
    expect(log).toEqual(['a acquired 0@1', 'a lost 0 unavailable', 'a acquired 0@2'])
  })

  it.each([
    ['taken', 0, failoverMs],
    ['renewed', 3333, 3333 + failoverMs],
  ])('counts from when it sent the write by which it was %s, not from the answer', async (_, slowAtMs, lapsesAtMs) => {
    const { join, store, clock, log } = setup('0')
    const replace = store.replace
    store.replace = async (lease): Promise<Lease | undefined> => {
      if (clock.monotonic() > slowAtMs) throw new Error('store is down')
      const stored = await replace(lease)
      if (clock.monotonic() === slowAtMs) await new Promise<void>((resolve) => void clock.after(2500, resolve))
      return stored
    }
    void join('a')
    await clock.advance(lapsesAtMs - 1)
    expect(log).toEqual(['a acquired 0@1'])
    await clock.advance(1)
    expect(log).toEqual(['a acquired 0@1', 'a lost 0 unavailable'])
  })

  it('loses a lease at once when a renewal finds another owner', async () => {
    const { join, store, clock, log } = setup('0')
    const a = await join('a')
    await store.change('0', { owner: 'b', epoch: 2 })
    await clock.advance(failoverMs / 3)
    expect(heldBy(a)).toBe('')
    expect(log).toContain('a lost 0 fenced')
  })

  it('loses a lease that was removed', async () => {
    const { join, store, clock, log } = setup('0')
    await join('a')
    await store.inner.remove(await store.lease('0'))
    await clock.advance(failoverMs / 3)
    expect(log).toContain('a lost 0 fenced')
  })

  it('takes no checkpoint written past it for a theft, and keeps it', async () => {
    const { join, store, clock, log } = setup('0')
    const a = await join('a')
    for (let position = 1; position <= 20; position++) {
      await store.change('0', { checkpoint: String(position) as Position })
      await clock.advance(2000)
    }
    expect(log).toEqual(['a acquired 0@1'])
    expect(heldBy(a)).toBe('0')
    expect(await store.lease('0')).toMatchObject({ checkpoint: '20', owner: 'a', epoch: 1 })
  })

  it('stays the holder, and still hands over, when every renewal is overtaken by such checkpoints', async () => {
    const { join, store, clock, log } = setup('0')
    const replace = store.replace
    const a = await join('a')
    store.replace = async (lease): Promise<Lease | undefined> => {
      if (!log.includes('a revoking 0')) await store.change('0', { checkpoint: '7' as Position })
      return replace(lease)
    }
    await clock.advance(3 * failoverMs)
    expect(heldBy(a)).toBe('0')
    await store.change('0', { handoffTo: 'b' })
    await clock.advance(failoverMs)
    expect(log).toEqual(['a acquired 0@1', 'a revoking 0'])
    expect(await store.lease('0')).toMatchObject({ owner: 'b', epoch: 2 })
  })

  it('is not moved by jumps of the wall clock', async () => {
    const { join, clock, log } = setup('0')
    await join('a')
    clock.jump(86_400_000)
    await clock.advance(failoverMs)
    clock.jump(-2 * 86_400_000)
    await clock.advance(failoverMs)
    expect(log).toEqual(['a acquired 0@1'])
  })
})

describe('handing over', () => {
  it('drains, then gives half of its partitions to a member that joins', async () => {
    const { join, clock, log } = setup('0', '1')
    const a = await join('a')
    const b = await join('b')
    await clock.advance(failoverMs)
    expect([heldBy(a).length, heldBy(b).length]).toEqual([1, 1])
    const [, , revoking, acquired] = log
    expect(revoking).toBe(`a revoking ${heldBy(b)}`)
    expect(acquired).toBe(`b acquired ${heldBy(b)}@3`)
  })

  it('has let go before the next owner can read', async () => {
    const { join, clock, store, log } = setup('0')
    const a = await join('a')
    await store.change('0', { handoffTo: 'b' })
    const replace = store.replace
    store.replace = async (lease): Promise<Lease | undefined> => {
      if (lease.owner === 'b') log.push(`given to b while a holds ${heldBy(a) || 'nothing'}`)
      return replace(lease)
    }
    await clock.advance(failoverMs / 3)
    expect(log.at(-1)).toBe('given to b while a holds nothing')
  })

  it('accepts checkpoints while it drains and shows them to the next owner', async () => {
    const { join, clock, store } = setup('0')
    const a: LeaseCoordinator = await join('a', {
      revoking: async ([partition = '']) => a.checkpoint(partition, 1, '42' as Position, false),
    })
    await store.change('0', { handoffTo: 'b' })
    await clock.advance(failoverMs / 3)
    expect(await store.lease('0')).toMatchObject({ owner: 'b', epoch: 2, checkpoint: '42', handoffTo: undefined })
    expect(heldBy(a)).toBe('')
  })

  it('keeps renewing while it drains, and ends it at the deadline', async () => {
    const { join, clock, store, log } = setup('0')
    const a = await join('a', { handoffTimeoutMs: 30_000, revoking: () => new Promise(() => undefined) })
    await store.change('0', { handoffTo: 'b' })
    await clock.advance(30_000)
    expect(heldBy(a)).toBe('0')
    await clock.advance(failoverMs / 3)
    expect(heldBy(a)).toBe('')
    expect(log).toEqual(['a acquired 0@1', 'a lost 0 timeout'])
    expect(await store.lease('0')).toMatchObject({ owner: 'b', epoch: 2 })
  })

  it('finishes a hand-over whose last write failed', async () => {
    const { join, clock, store } = setup('0')
    await join('a', { revoking: async () => void (store.mode = 'down') })
    await store.change('0', { handoffTo: 'b' })
    await clock.advance(failoverMs / 3)
    expect(await store.lease('0')).toMatchObject({ owner: 'a' })
    store.mode = 'up'
    await clock.advance(failoverMs / 2)
    expect(await store.lease('0')).toMatchObject({ owner: 'b', epoch: 2 })
  })

  it('does not hand over to a member known to be dead', async () => {
    const { join, clock, store, log } = setup('0')
    await join('a', { isDead: (member) => member === 'd' })
    await store.change('0', { handoffTo: 'd' })
    await clock.advance(failoverMs)
    expect(log).toEqual(['a acquired 0@1'])
    expect(await store.lease('0')).toMatchObject({ owner: 'a', handoffTo: undefined })
  })
})

describe('checkpoint', () => {
  it('stores progress of the present tenure only', async () => {
    const { join, store } = setup('0')
    const a = await join('a')
    expect(await codeOf(a.checkpoint('0', 1, '5' as Position, false))).toBe('ok')
    expect(await codeOf(a.checkpoint('0', 2, '6' as Position, false))).toBe('fenced')
    expect(await codeOf(a.checkpoint('1', 1, '6' as Position, false))).toBe('fenced')
    expect(await store.lease('0')).toMatchObject({ checkpoint: '5' })
  })

  it('is fenced, and reports the loss, when somebody else has the lease', async () => {
    const { join, store, log } = setup('0')
    const a = await join('a')
    await store.change('0', { owner: 'b', epoch: 2 })
    expect(await codeOf(a.checkpoint('0', 1, '5' as Position, false))).toBe('fenced')
    expect(log).toContain('a lost 0 fenced')
  })

  it('is fenced after the tenure lapsed, even before anybody else took the lease', async () => {
    const { join, store, clock } = setup('0')
    const a = await join('a')
    store.mode = 'down'
    await clock.advance(failoverMs)
    store.mode = 'up'
    expect(await codeOf(a.checkpoint('0', 1, '5' as Position, false))).toBe('fenced')
  })

  it.each([
    ['down', 'unavailable'],
    ['silent', 'timeout'],
    ['loses-replies', 'unavailable'],
  ] as const)('rejects with a retryable error when the store is %s, and can be repeated', async (mode, code) => {
    const { join, store, clock } = setup('0')
    const a = await join('a')
    store.mode = mode
    const result = codeOf(a.checkpoint('0', 1, '5' as Position, false))
    await clock.advance(3000)
    expect(await result).toBe(code)
    store.mode = 'up'
    expect(await codeOf(a.checkpoint('0', 1, '6' as Position, false))).toBe('ok')
    expect(await store.lease('0')).toMatchObject({ checkpoint: '6', epoch: 1 })
  })

  it('is fenced when the tenure lapses while it waits for its turn', async () => {
    const { join, store, clock } = setup('0')
    const a = await join('a', { scanEveryMs: 1_000_000 })
    store.mode = 'silent'
    await clock.advance(9999)
    const result = codeOf(a.checkpoint('0', 1, '5' as Position, false))
    await clock.advance(2)
    store.mode = 'up'
    await clock.advance(failoverMs / 3)
    expect(await result).toBe('fenced')
    expect(await store.lease('0')).toMatchObject({ checkpoint: undefined })
  })

  it('stores checkpoints of one partition in call order', async () => {
    const { join, store } = setup('0')
    const a = await join('a')
    await Promise.all(['1', '2', '3'].map((position) => a.checkpoint('0', 1, position as Position, false)))
    expect(await store.lease('0')).toMatchObject({ checkpoint: '3' })
  })

  it('with ended drops the lease and lets the children start', async () => {
    const { join, partitions, log } = setup('0')
    const a = await join('a')
    partitions.push({ id: '1', parents: ['0'] }, { id: '2', parents: ['0'] })
    await a.refresh()
    expect(heldBy(a)).toBe('0')
    await a.checkpoint('0', 1, undefined, true)
    await settle()
    expect(heldBy(a)).toBe('1 2')
    expect(log).toEqual(['a acquired 0@1', 'a acquired 1@1', 'a acquired 2@1'])
  })

  it('with ended can be repeated after a lost answer', async () => {
    const { join, store, clock } = setup('0')
    const a = await join('a')
    store.mode = 'loses-replies'
    expect(await codeOf(a.checkpoint('0', 1, '9' as Position, true))).toBe('unavailable')
    store.mode = 'up'
    await clock.advance(failoverMs)
    expect(heldBy(a)).toBe('')
    expect(await codeOf(a.checkpoint('0', 1, '9' as Position, true))).toBe('ok')
  })

  it('written past it with ended is noticed on refresh', async () => {
    const { join, store, partitions } = setup('0')
    const a = await join('a')
    partitions.push({ id: '1', parents: ['0'] })
    await store.change('0', { ended: true })
    await a.refresh()
    expect(heldBy(a)).toBe('1')
  })
})

describe('close', () => {
  it('releases every lease with epoch and checkpoint kept, calls no event, and leaves no timers', async () => {
    const { join, store, clock, log } = setup('0', '1')
    const a = await join('a')
    await a.checkpoint('0', 1, '5' as Position, false)
    await Promise.all([a.close(), a.close()])
    expect(await store.lease('0')).toMatchObject({ owner: undefined, epoch: 1, checkpoint: '5' })
    expect(await store.lease('1')).toMatchObject({ owner: undefined, epoch: 1 })
    expect(log.filter((line) => !line.includes('acquired'))).toEqual([])
    expect(clock.pending).toBe(0)
    expect(await codeOf(a.checkpoint('0', 1, '6' as Position, false))).toBe('fenced')
    expect(await codeOf(a.start())).toBe('closed')
  })

  it('lets another member go on at once, under the next epoch', async () => {
    const { join, log } = setup('0')
    const a = await join('a')
    await a.close()
    await join('b')
    expect(log).toEqual(['a acquired 0@1', 'b acquired 0@2'])
  })

  it('takes back what it asked for', async () => {
    const { join, store } = setup('0', '1')
    await join('a', { revoking: () => new Promise(() => undefined) })
    const b = await join('b')
    expect((await store.inner.list(scope)).some((lease) => lease.handoffTo === 'b')).toBe(true)
    await b.close()
    expect((await store.inner.list(scope)).some((lease) => lease.handoffTo === 'b')).toBe(false)
  })

  it('ends while a hand-over waits for its reader', async () => {
    const { join, store, clock } = setup('0')
    const a = await join('a', { revoking: () => new Promise(() => undefined) })
    await store.change('0', { handoffTo: 'b' })
    await clock.advance(failoverMs / 3)
    await a.close()
    expect(await store.lease('0')).toMatchObject({ owner: undefined })
    expect(clock.pending).toBe(0)
  })

  it('ends when the store does not answer', async () => {
    const { join, store, clock } = setup('0')
    const a = await join('a')
    store.mode = 'silent'
    const closed = a.close()
    await clock.advance(failoverMs)
    await closed
    expect(clock.pending).toBe(0)
  })

  it('before start does nothing', async () => {
    const clock = new ManualClock()
    const events = { acquired: () => undefined, revoking: async () => undefined, lost: () => undefined }
    const store = new TestStore()
    const idle = new LeaseCoordinator({
      store,
      scope,
      member: 'a',
      clock,
      random: Math.random,
      events,
      listPartitions: async () => [],
    })
    await idle.close()
    expect(store.asked).toEqual([])
  })
})
