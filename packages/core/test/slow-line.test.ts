import { expect, it } from 'vitest'
import { failed, stored } from './fake-topic.ts'
import { codeOf, setup } from './producer-setup.ts'

it('puts less into a request after each that had no answer in time, and more again when they have', async () => {
  const sizes: number[] = []
  let late = 3
  const { clock, producer } = setup(
    (records) => {
      sizes.push(records.length)
      const answer = late-- > 0 ? failed('timeout') : undefined
      return Promise.resolve(records.map((_, at) => answer ?? stored(at)))
    },
    { maxInFlight: 1 },
    { requestOrder: 'kept' },
  )
  const value = 'x'.repeat(32 * 1024 - 500)
  const sends = Array.from({ length: 400 }, () => codeOf(producer.send({ key: 'k', value })))
  const done = Promise.all(sends)
  for (let second = 0; second < 60; second++) await clock.advance(1_000)
  expect(new Set(await done)).toEqual(new Set(['ok']))
  expect(sizes.slice(0, 9)).toEqual([30, 7, 2, 2, 4, 8, 16, 30, 30])
})
