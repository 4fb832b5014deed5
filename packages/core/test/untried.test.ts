import { describe, expect, it } from 'vitest'
import { StreamError } from '@sluice/driver'
import type { SendOutcome } from '@sluice/driver'
import { failed, stored } from './fake-topic.ts'
import { codeOf, setup } from './producer-setup.ts'

const untried: SendOutcome = { ok: false, error: StreamError.behind(), untried: true }
const kept = { requestOrder: 'kept' } as const

describe('a record that was not tried', () => {
  it('has not failed, though nothing of its key failed before it', async () => {
    const { producer } = setup(
      (records) => Promise.resolve(records.map((_, at) => (at === 0 ? stored(at) : untried))),
      { retry: { maxAttempts: 1 } },
      kept,
    )
    const sends = [1, 2, 3, 4].map((value) => codeOf(producer.send({ key: 'k', value })))
    expect(await Promise.all(sends)).toEqual(['ok', 'ok', 'ok', 'ok'])
  })

  it('has all its tries left', async () => {
    const tries = new Map<string, number>()
    const { clock, producer } = setup(
      (records) => {
        let broken = false
        return Promise.resolve(
          records.map(({ body }) => {
            if (broken) return untried
            const value = Buffer.from(body).toString()
            const nth = (tries.get(value) ?? 0) + 1
            tries.set(value, nth)
            broken = nth < 3
            return broken ? failed('throttled') : stored(0)
          }),
        )
      },
      { retry: { maxAttempts: 3 } },
      kept,
    )
    const sends = Promise.all([1, 2, 3].map((value) => codeOf(producer.send({ key: 'k', value }))))
    for (let second = 0; second < 60; second++) await clock.advance(1_000)
    expect(await sends).toEqual(['ok', 'ok', 'ok'])
    expect([...tries.values()]).toEqual([3, 3, 3])
  })

  it('is not sent again and again behind others that are refused, one after the other', async () => {
    let asked = 0
    const { producer } = setup(
      (records) => {
        asked += records.length
        return Promise.resolve(records.map((_, at) => (at === 0 ? failed('invalid-argument') : untried)))
      },
      { onOrderedFailure: 'continue' },
      kept,
    )
    const sends = Array.from({ length: 200 }, (_, value) => codeOf(producer.send({ key: 'k', value })))
    expect(new Set(await Promise.all(sends))).toEqual(new Set(['invalid-argument']))
    expect(asked).toBeLessThanOrEqual(2 * sends.length)
  })

  it('goes out with many others again once nothing is refused any more', async () => {
    const sizes: number[] = []
    const { producer } = setup(
      (records) => {
        sizes.push(records.length)
        const [first] = records
        const bad = first !== undefined && Buffer.from(first.body).toString() === '0'
        return Promise.resolve(
          records.map((_, at) => (!bad ? stored(at) : at === 0 ? failed('invalid-argument') : untried)),
        )
      },
      { onOrderedFailure: 'continue' },
      kept,
    )
    await Promise.all(Array.from({ length: 100 }, (_, value) => codeOf(producer.send({ key: 'k', value }))))
    expect(sizes).toEqual([100, 1, 2, 4, 8, 16, 32, 36])
  })
})
