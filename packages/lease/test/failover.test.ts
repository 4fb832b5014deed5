import type { Lease, LeaseStore } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { Sightings } from '../src/sightings.ts'
import { failoverMs, heldBy, scope, setup } from './coordinator-setup.ts'

function leaseOf(partition: string, owner: string, version = 0): Lease {
  const nothing = { checkpoint: undefined, ended: false, parents: [], handoffTo: undefined }
  return { scope, partition, owner, epoch: 1, version, ...nothing }
}

describe('a member is at work', () => {
  const leases = ['0', '1', '2', '3'].map((partition) => leaseOf(partition, 'd'))
  const at = (version: number, ...changed: readonly Lease[]): readonly Lease[] => [
    ...changed,
    ...leases.slice(changed.length).map((lease) => ({ ...lease, version })),
  ]

  it('when it wrote most of its leases within half of the failover time', () => {
    const sightings = new Sightings(failoverMs)
    sightings.record(leases, 0)
    expect(sightings.isAtWork('d')).toBe(false)
    sightings.record(at(1), 1_000)
    expect(sightings.isAtWork('d')).toBe(true)
    sightings.record(at(1), 6_000)
    expect(sightings.isAtWork('d')).toBe(true)
    sightings.record(at(1), 6_001)
    expect(sightings.isAtWork('d')).toBe(false)
  })

  it.each([
    ['it is asked for a lease', { ...leaseOf('0', 'd', 1), handoffTo: 'e' }],
    ['somebody has taken a question back', leaseOf('0', 'd', 2)],
    ['it is given a lease', leaseOf('9', 'd', 3)],
  ])('but not because %s', (_, changed) => {
    const sightings = new Sightings(failoverMs)
    sightings.record([leaseOf('9', 'a'), ...leases], 0)
    sightings.record(at(0, changed), 1_000)
    expect(sightings.isAtWork('d')).toBe(false)
  })

  it('but not because it is given its only lease', () => {
    const sightings = new Sightings(failoverMs)
    sightings.record([leaseOf('9', 'a')], 0)
    sightings.record([leaseOf('9', 'd', 1)], 1_000)
    expect(sightings.isAtWork('d')).toBe(false)
  })
})

it('leases of a dead member are read in time although another member hands it one more', async () => {
  const ids = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']
  const { clock, store, join } = setup(...ids)
  for (const id of ids) await store.inner.create(leaseOf(id, id < '4' ? 'c' : 'a'))
  const a = await join('a', {
    revoking: () => new Promise<void>((resolve) => void clock.after(14_300 - clock.monotonic(), resolve)),
  })
  await clock.advance(100)
  for (const id of ['0', '1', '2', '3']) await store.change(id, {})
  await store.change('4', { handoffTo: 'c' })
  // From here on c is dead; a hands it 4 at 14.3 s.
  await clock.advance(13_700)
  const b = await join('b')
  await clock.advance(19_100 - clock.monotonic())
  expect(`${heldBy(a)} ${heldBy(b)}`.split(' ')).toEqual(expect.arrayContaining(['0', '1', '2', '3']))
})

it('a lease that one stores as free while another takes it is taken soon', async () => {
  const ids = ['0', '1', '2', '3', '4', '5', '6', '7']
  const { clock, store, join } = setup(...ids)
  for (const id of ids) await store.inner.create(leaseOf(id, id === '6' ? 'a' : id === '7' ? 'b' : 'd'))
  // From here on d is dead. The store answers b's lists late.
  const late: LeaseStore = {
    list: async (of) => {
      const leases = await store.list(of)
      await new Promise<void>((resolve) => void clock.after(250, resolve))
      return leases
    },
    create: store.create,
    replace: store.replace,
    remove: store.remove,
  }
  const a = await join('a')
  await clock.advance(600)
  const joining = join('b', { store: late })
  await clock.advance(700)
  const b = await joining
  await clock.advance(1.5 * failoverMs - clock.monotonic())
  expect(`${heldBy(a)} ${heldBy(b)}`.split(' ').toSorted()).toEqual(ids)
})

it('who knows that an owner is dead tells it to those who cannot', async () => {
  const ids = ['0', '1', '2', '3', '4', '5', '6', '7']
  const { clock, store, join } = setup(...ids)
  for (const id of ids) await store.inner.create(leaseOf(id, id === '6' ? 'a' : id === '7' ? 'b' : 'd'))
  const a = await join('a', { isDead: (member) => member === 'd' })
  const b = await join('b')
  await clock.advance(0.9 * failoverMs)
  expect(`${heldBy(a)} ${heldBy(b)}`.split(' ').toSorted()).toEqual(ids)
})
