import type { Lease, Position } from '@sluice/driver'
import { ManualClock, settle } from '@sluice/driver/testing'
import { LeaseCoordinator } from '@sluice/lease'
import { describe, expect, it } from 'vitest'
import { codeOf, failoverMs, heldBy, scope, setup, TestStore } from './coordinator-setup.ts'

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
    const { join, clock, store } = setup('0', '1')
    await join('a', { revoking: () => new Promise(() => undefined) })
    const b = await join('b')
    await clock.advance(failoverMs / 2)
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
    const events = {
      acquired: () => undefined,
      revoking: async () => undefined,
      lost: () => undefined,
      failed: () => undefined,
    }
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
