import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { RateLimiter } from '../src/rate-limiter.ts'
import { allStored, setup } from './producer-setup.ts'

describe('a rate limit', () => {
  it('holds its rate in messages and bytes', async () => {
    const times: number[] = []
    const rate = { messagesPerSecond: 10 }
    const { clock, producer } = setup(
      (records, signal) => {
        for (const _ of records) times.push(clock.monotonic())
        return allStored(records, signal)
      },
      {},
      {},
      rate,
    )
    const sends = Array.from({ length: 30 }, (_, value) => producer.send({ value }))
    for (let n = 0; n < 40; n++) await clock.advance(100)
    await Promise.all(sends)
    expect(times.filter((time) => time === 0).length).toBe(10)
    expect(times.at(-1)).toBe(2_000)
  })

  it('holds its rate also when a backend that was away comes back', async () => {
    const requests: number[] = []
    const back = Promise.withResolvers<void>()
    const { clock, producer } = setup(
      async (records, signal) => {
        requests.push(records.length)
        await back.promise
        return allStored(records, signal)
      },
      { maxInFlight: 1 },
      {},
      { messagesPerSecond: 10 },
    )
    const sends = Array.from({ length: 50 }, (_, value) => producer.send({ value }))
    for (let n = 0; n < 30; n++) await clock.advance(100)
    expect(requests).toEqual([10])
    back.resolve()
    await clock.advance(0)
    expect(requests.slice(0, 2)).toEqual([10, 10])
    for (let n = 0; n < 30; n++) await clock.advance(100)
    await Promise.all(sends)
  })

  it('gives each key its turn while the rate holds', async () => {
    for (const requestOrder of ['kept', 'none'] as const) {
      for (const keys of [2, 4, 5, 8]) {
        const sent = new Map<string | undefined, number>()
        const { clock, producer } = setup(
          (records, signal) => {
            for (const { key } of records) sent.set(key, (sent.get(key) ?? 0) + 1)
            return allStored(records, signal)
          },
          {},
          { requestOrder },
          { messagesPerSecond: 10 },
        )
        for (let n = 0; n < 40 * keys; n++) producer.send({ key: `k${n % keys}`, value: n }).catch(() => undefined)
        for (let n = 0; n < 16; n++) await clock.advance(500)
        const shares = [...sent.values()]
        expect(shares).toHaveLength(keys)
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(10)
        await Promise.all([producer.close({ timeoutMs: 0 }).catch(() => undefined), clock.advance(2_000)])
      }
    }
  })

  it('lets a large message go while small ones come without end', async () => {
    const { clock, producer } = setup(allStored, {}, {}, { bytesPerSecond: 1_000 })
    let gone = false
    const small = async (key: string): Promise<void> => {
      for (;;) await producer.send({ key, value: 'x'.repeat(20) })
    }
    for (let n = 0; n < 20; n++) small(`k${n}`).catch(() => undefined)
    await clock.advance(2_000)
    void producer.send({ key: 'large', value: 'x'.repeat(700) }).then(() => (gone = true))
    for (let n = 0; n < 50; n++) await clock.advance(100)
    expect(gone).toBe(true)
    await Promise.all([producer.close({ timeoutMs: 0 }).catch(() => undefined), clock.advance(2_000)])
  })

  it('keeps its rate although each request takes time to be made', () => {
    let nowMs = 0
    const clock = Object.assign(new ManualClock(), { monotonic: () => nowMs })
    const rate = new RateLimiter({ messagesPerSecond: 1_000 }, clock)
    let taken = 0
    while (nowMs < 10_000) {
      while (rate.tryTake(1)) taken++
      nowMs += 5
      rate.sent()
    }
    expect(taken).toBeGreaterThan(10_900)
    while (rate.tryTake(1));
    nowMs += 400
    rate.sent()
    expect(rate.tryTake(1)).toBe(false)
  })

  it('gives each producer of a topic its turn', async () => {
    const clock = new ManualClock()
    const rate = new RateLimiter({ messagesPerSecond: 10 }, clock)
    const went: string[] = []
    const wait = (who: string): void =>
      void rate.wait(1, () => {
        went.push(who)
        rate.tryTake(1)
        wait(who)
      })
    while (rate.tryTake(1));
    wait('a')
    wait('b')
    expect(rate.tryTake(1)).toBe(false)
    for (let n = 0; n < 6; n++) await clock.advance(100)
    expect(went.join('')).toBe('ababab')
  })
})
