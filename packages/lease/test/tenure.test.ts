import type { Lease } from '@sluice/driver'
import { expect, it } from 'vitest'
import { Tenure } from '../src/tenure.ts'

const lease: Lease = {
  scope: 's',
  partition: '0',
  owner: 'a',
  epoch: 3,
  handoffTo: undefined,
  checkpoint: undefined,
  ended: false,
  parents: [],
  version: 1,
}

it.each([
  ['another version', { version: 9 }, true],
  ['a hand-over asked for', { handoffTo: 'b' }, true],
  ['another owner', { owner: 'b' }, false],
  ['no owner', { owner: undefined }, false],
  ['another epoch', { epoch: 4 }, false],
])('takes a lease with %s for its own or not', (_, change, expected) => {
  expect(new Tenure(lease, 0).owns({ ...lease, ...change })).toBe(expected)
})

it('does not own a lease that is gone', () => {
  expect(new Tenure(lease, 0).owns(undefined)).toBe(false)
})

it('is renewed as of the moment its write was sent', () => {
  const tenure = new Tenure(lease, 100)
  tenure.confirm({ ...lease, version: 2 }, 200)
  expect(tenure.renewedMs).toBe(200)
})

it('is renewed by a change of somebody else only as of when the old version was last seen', () => {
  const tenure = new Tenure(lease, 100)
  tenure.adopt({ ...lease, version: 2 }, 200)
  expect(tenure.renewedMs).toBe(100)
  tenure.adopt({ ...lease, version: 3 }, 300)
  expect(tenure.renewedMs).toBe(200)
})

it('is not renewed by seeing the same version again', () => {
  const tenure = new Tenure(lease, 100)
  tenure.adopt(lease, 200)
  expect(tenure.renewedMs).toBe(100)
})

it('runs one task at a time, and goes on after a failure', async () => {
  const tenure = new Tenure(lease, 0)
  const log: string[] = []
  const failing = tenure.inTurn(async () => {
    log.push('first begins')
    await Promise.resolve()
    log.push('first fails')
    throw new Error('no')
  })
  const second = tenure.inTurn(async () => void log.push('second'))
  await expect(failing).rejects.toThrow('no')
  await second
  expect(log).toEqual(['first begins', 'first fails', 'second'])
})
