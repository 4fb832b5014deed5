import { StreamError } from '@sluice/driver'
import type { Lease, Logger, Position } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { failoverMs, heldBy, scope, setup, TestStore } from './coordinator-setup.ts'

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
    // Not with the next scan of many: when it is due.
    await clock.advance(2)
    expect([heldBy(a), heldBy(b)]).toEqual(['', '0'])
    expect(log).toEqual(['a acquired 0@1', 'a lost 0 unavailable', 'b acquired 0@2'])
  })

  it('takes nothing before every partition had a lease once', async () => {
    const { join, store, clock, log, partitions } = setup('0')
    const first = await join('first')
    await first.close()
    partitions.push({ id: '1', parents: [] })
    store.refusal = { of: ['create'], code: 'throttled' }
    const a = await join('a')
    await clock.advance(failoverMs)
    expect(heldBy(a)).toBe('')
    store.refusal = undefined
    await clock.advance(failoverMs)
    expect(heldBy(a)).toBe('0 1')
    partitions.push({ id: '2', parents: [] })
    store.refusal = { of: ['create'], code: 'throttled' }
    await store.change('0', { owner: undefined, epoch: 9 })
    await clock.advance(failoverMs)
    expect(log.slice(-2)).toEqual(['a lost 0 fenced', 'a acquired 0@10'])
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

  it.each(['list', 'create', 'replace'])(
    'tells of a %s that is refused for good, and of none that passes',
    async (call) => {
      const { join, store, clock, log, partitions } = setup('0')
      store.refusal = { of: [call], code: 'throttled' }
      const a = await join('a')
      await clock.advance(failoverMs)
      expect(log).toEqual([])
      store.refusal = { of: [call], code: 'permission-denied' }
      partitions.push({ id: '1', parents: [] })
      await a.refresh()
      expect(log).toContain(`a failed permission-denied: no ${call}`)
      store.refusal = undefined
      await clock.advance(failoverMs)
      expect(heldBy(a)).toBe('0 1')
      store.refusal = { of: ['list', 'replace'], code: 'permission-denied' }
      log.length = 0
      await a.close()
      expect(log).toEqual([])
    },
  )

  it('tells apart, in the log, whether a group was moved or a lease was taken', async () => {
    const { join, store } = setup('0', '1')
    const lines: string[] = []
    const line =
      (level: string) =>
      (fields: object, message: string): void =>
        void lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
    const logger: Logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
    const a = await join('a', { logger })
    lines.length = 0
    await store.change('0', { owner: undefined, epoch: 2, checkpoint: '9' as Position })
    await store.change('1', { owner: 'b', epoch: 2 })
    await a.refresh()
    expect(lines.filter((text) => text.includes('moved'))).toEqual([
      expect.stringMatching(/^info a partition was moved .*"scope":"orders\/billing","partition":"0","epoch":1/),
    ])
    expect(lines.filter((text) => text.includes('lost'))).toEqual([
      expect.stringMatching(/^warn lost a partition .*"partition":"1","epoch":1/),
    ])
  })

  it('tells of a partition that cannot be read for good, and gives it back', async () => {
    const { join, log, store } = setup('0')
    const a = await join('a', { acquired: () => Promise.reject(new StreamError('corrupt', 'no place')) })
    await eventually(() => expect(log).toEqual(['a lost 0 corrupt', 'a failed corrupt: no place']))
    expect((await store.lease('0')).owner).toBeUndefined()
    await a.close()
  })

  it('tells of a topic that cannot be looked up for good', async () => {
    const { join, log } = setup('0')
    await join('a', { listPartitions: () => Promise.reject(new StreamError('not-found', 'gone')) })
    expect(log).toEqual(['a failed not-found: gone'])
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
