import * as fc from 'fast-check'
import { silentLogger, StreamError } from '@sluice/driver'
import type { OutgoingRecord, SendOutcome } from '@sluice/driver'
import { settle } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { failed, stored } from './fake-topic.ts'
import type { Answer } from './fake-topic.ts'
import { allStored, badFails, codeOf, setup, valueOf } from './producer-setup.ts'

type Fault = 'ok' | 'record' | 'whole' | 'lost' | 'final'

describe('lanes', () => {
  it.each(['kept', 'none'] as const)(
    'keep each key in order through partial failures, retries and lost answers (request order %s)',
    async (requestOrder) => {
      const faults = fc.array(fc.constantFrom<Fault>('ok', 'ok', 'record', 'whole', 'lost'), {
        maxLength: 40,
        size: 'max',
      })
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom('a', 'b', 'c', undefined), { maxLength: 60, size: 'max' }),
          faults,
          fc.integer({ min: 1, max: 4 }),
          async (keys, plan, maxInFlight) => {
            const log: OutgoingRecord[] = []
            const flying = new Set<string>()
            const remaining = [...plan]
            const answer: Answer = async (records) => {
              const mine = new Set(records.flatMap((record) => (record.key === undefined ? [] : [record.key])))
              for (const key of mine) if (flying.has(key)) throw new Error(`key ${key} is in two requests at once`)
              for (const key of mine) flying.add(key)
              if (requestOrder === 'none' && mine.size < records.filter((record) => record.key !== undefined).length)
                throw new Error('two records of a key in one request')
              await settle()
              for (const key of mine) flying.delete(key)
              const fault = remaining.shift() ?? 'ok'
              if (fault === 'whole') throw new StreamError('unavailable', 'injected')
              const broken = new Set<string>()
              const outcomes = records.map((record, index): SendOutcome => {
                const hit = fault === 'record' && index % 2 === 0
                if (hit && record.key !== undefined) broken.add(record.key)
                if (hit || (record.key !== undefined && broken.has(record.key))) return failed('throttled')
                log.push(record)
                return stored(log.length)
              })
              if (fault === 'lost') throw new StreamError('timeout', 'injected')
              return outcomes
            }
            const { clock, producer } = setup(answer, { maxInFlight, maxBatchRecords: 7 }, { requestOrder })
            const sends = keys.map((key, value) => producer.send({ value, ...(key === undefined ? {} : { key }) }))
            const all = Promise.all(sends)
            for (let n = 0; n < 80; n++) await clock.advance(5_000)
            await all
            for (const key of ['a', 'b', 'c']) {
              const first = [...new Set(log.filter((record) => record.key === key).map(valueOf))]
              expect(first).toEqual(keys.flatMap((other, value) => (other === key ? [value] : [])))
            }
            expect(new Set(log.map(valueOf)).size).toBe(keys.length)
            const lost = plan.filter((fault) => fault === 'lost').length
            expect(log.length - keys.length).toBeLessThanOrEqual(lost * 7)
            expect(producer.stats()).toMatchObject({ bufferedRecords: 0, bufferedBytes: 0, sent: keys.length })
          },
        ),
        { numRuns: 60 },
      )
    },
  )

  it('fence a key after a final failure until it is resumed, and leave other keys alone', async () => {
    const seen: unknown[] = []
    const answer: Answer = (records) =>
      Promise.resolve(
        records.map((record) => {
          if (valueOf(record) === 'bad') return failed('invalid-argument')
          seen.push(valueOf(record))
          return stored(0)
        }),
      )
    const { producer } = setup(answer, {}, { requestOrder: 'none' })
    const sends = ['bad', 'after', 'later'].map((value) => codeOf(producer.send({ key: 'k', value })))
    const other = codeOf(producer.send({ key: 'other', value: 'x' }))
    expect(await Promise.all(sends)).toEqual(['invalid-argument', 'fenced', 'fenced'])
    expect(await other).toBe('ok')
    expect(await codeOf(producer.send({ key: 'k', value: 'still' }))).toBe('fenced')
    producer.resume('k')
    expect(await codeOf(producer.send({ key: 'k', value: 'again' }))).toBe('ok')
    expect(seen).toEqual(['x', 'again'])
  })

  it('say of what waits behind a fence that it may be stored, when its request had no answer', async () => {
    const lost: Answer = () => Promise.reject(new StreamError('timeout', 'lost', { ambiguous: true }))
    const { producer } = setup(lost, { retry: { maxAttempts: 1 } }, { requestOrder: 'kept' })
    const sends = [1, 2, 3].map((value) => producer.send({ key: 'k', value }).catch((error: unknown) => error))
    const errors = await Promise.all(sends)
    expect(errors).toMatchObject([
      { code: 'timeout', ambiguous: true },
      { code: 'fenced', ambiguous: true },
      { code: 'fenced', ambiguous: true },
    ])
  })

  it('go on past a final failure when told to continue', async () => {
    const { producer } = setup(badFails, { onOrderedFailure: 'continue' }, { requestOrder: 'none' })
    const sends = ['bad', 'after'].map((value) => codeOf(producer.send({ key: 'k', value })))
    expect(await Promise.all(sends)).toEqual(['invalid-argument', 'ok'])
  })
})

describe('a producer', () => {
  it('forms batches of what is sent in one go', async () => {
    const sizes: number[] = []
    const { producer } = setup(
      (records, signal) => {
        sizes.push(records.length)
        return allStored(records, signal)
      },
      { maxBatchRecords: 40 },
    )
    await Promise.all(Array.from({ length: 100 }, (_, value) => producer.send({ value })))
    expect(sizes).toEqual([40, 40, 20])
  })

  it('lingers for company, and not for longer than it was told', async () => {
    const sizes: number[] = []
    const { clock, producer } = setup(
      (records, signal) => {
        sizes.push(records.length)
        return allStored(records, signal)
      },
      { lingerMs: 20 },
    )
    const first = producer.send({ value: 1 })
    await clock.advance(10)
    const second = producer.send({ value: 2 })
    await clock.advance(5)
    expect(sizes).toEqual([])
    await clock.advance(5)
    await Promise.all([first, second])
    expect(sizes).toEqual([2])
  })

  it('waits with full buffers and never holds more than its bounds', async () => {
    const { promise: gate, resolve: release } = Promise.withResolvers<void>()
    const { producer } = setup(
      async (records, signal) => {
        await gate
        return allStored(records, signal)
      },
      { maxBufferedRecords: 10 },
    )
    const sends = Array.from({ length: 50 }, (_, value) => producer.send({ value }))
    await settle()
    expect(producer.stats().bufferedRecords).toBe(10)
    release()
    await Promise.all(sends)
  })

  it('gives up a request without an answer, and says that it may be stored', async () => {
    const { clock, producer } = setup(() => new Promise(() => undefined), {
      requestTimeoutMs: 100,
      retry: { maxAttempts: 2 },
    })
    const send = producer.send({ key: 'k', value: 1 }).catch((error: unknown) => error)
    for (let n = 0; n < 10; n++) await clock.advance(100)
    const error = await send
    expect(StreamError.is(error, 'timeout') && error.ambiguous).toBe(true)
  })

  it('aborts a send in every phase', async () => {
    const gates: (() => void)[] = []
    const { producer } = setup(
      (records, signal) => new Promise((resolve) => gates.push(() => void allStored(records, signal).then(resolve))),
      { maxBufferedRecords: 2, maxBatchRecords: 1, maxInFlight: 1 },
    )
    const controllers = [1, 2, 3].map(() => new AbortController())
    const sends = controllers.map((controller, value) =>
      producer.send({ key: 'k', value }, { signal: controller.signal }).catch((error: unknown) => error),
    )
    await settle()
    for (const controller of controllers) controller.abort()
    const errors = await Promise.all(sends)
    expect(errors.map((error) => StreamError.is(error, 'aborted') && error.ambiguous)).toEqual([true, false, false])
    const later = producer.send({ key: 'k', value: 'later' })
    while (gates.length > 0 || producer.stats().bufferedRecords > 0) {
      gates.shift()?.()
      await settle()
    }
    expect((await later).id).toBeDefined()
  })

  it('tells of a backend that refuses, once for each time it waits', async () => {
    const lines: string[] = []
    let calls = 0
    const { clock, producer } = setup(
      (records, signal) =>
        ++calls <= 8 ? Promise.reject(new StreamError('unavailable', 'the disk is full')) : allStored(records, signal),
      { maxBatchRecords: 1 },
      {},
      undefined,
      undefined,
      { ...silentLogger, warn: (_, message) => void lines.push(message) },
    )
    const sends = Array.from({ length: 4 }, (_, value) => producer.send({ value }))
    for (let n = 0; n < 40; n++) await clock.advance(1_000)
    await Promise.all(sends)
    const line = 'sending failed and will be tried again: the disk is full'
    expect(lines).toEqual([line, line])
  })

  it('keeps the pressure off a backend that throttles', async () => {
    let calls = 0
    const { clock, producer } = setup((records, signal) =>
      ++calls <= 6
        ? Promise.reject(new StreamError('throttled', 'slow down', { retryAfterMs: 1_000 }))
        : allStored(records, signal),
    )
    const sends = Array.from({ length: 100 }, (_, value) => producer.send({ key: `k${value}`, value }))
    await clock.advance(2_500)
    expect(calls).toBeLessThanOrEqual(3)
    for (let n = 0; n < 20; n++) await clock.advance(1_000)
    await Promise.all(sends)
  })
})

describe('checks before any I/O', () => {
  const table: readonly (readonly [string, Record<string, unknown>, string])[] = [
    ['a value JSON cannot hold', { value: undefined }, 'invalid-argument'],
    ['an upper-case header', { value: 1, headers: { 'X-Y': 'a' } }, 'invalid-argument'],
    ['a reserved header', { value: 1, headers: { 'dlq-topic': 'a' } }, 'invalid-argument'],
    ['a header with a line break', { value: 1, headers: { a: 'x\ny' } }, 'invalid-argument'],
    ['a header with outer spaces', { value: 1, headers: { a: ' x' } }, 'invalid-argument'],
    ['too long a header', { value: 1, headers: { a: 'é'.repeat(513) } }, 'too-large'],
    ['too long a content type of their own', { value: 1, headers: { 'content-type': 't'.repeat(1_025) } }, 'too-large'],
    [
      'too many headers',
      { value: 1, headers: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`h${n}`, 'x'])) },
      'too-large',
    ],
    ['too long a key', { value: 1, key: 'k'.repeat(1_025) }, 'too-large'],
    ['a lone surrogate', { value: 1, key: '\ud800' }, 'invalid-argument'],
    ['an id with a space', { value: 1, id: 'a b' }, 'invalid-argument'],
    ['too large a value', { value: 'x'.repeat(1_000_000) }, 'too-large'],
  ]
  it.each(table)('refuse %s', async (_, message, code) => {
    let calls = 0
    const { producer } = setup((records, signal) => {
      calls++
      return allStored(records, signal)
    })
    expect(await codeOf(producer.send(message as { value: unknown }))).toBe(code)
    expect(calls).toBe(0)
  })
})

describe('many that wait', () => {
  it(
    'at the door, in lanes and before the topic is open are given up by one signal, in time that grows with their number',
    { timeout: 30_000 },
    async () => {
      const never: Answer = () => new Promise(() => undefined)
      const { producer } = setup(never, { maxBufferedRecords: 40_000, maxInFlight: 1 })
      const stop = new AbortController()
      const sends = Array.from({ length: 80_000 }, (_, value) =>
        codeOf(producer.send({ value, ...(value % 2 === 0 ? {} : { key: `k${value % 8}` }) }, { signal: stop.signal })),
      )
      await settle()
      stop.abort()
      expect(new Set(await Promise.all(sends))).toEqual(new Set(['aborted']))
      await settle()
      expect(producer.stats().bufferedRecords).toBeLessThanOrEqual(1_000)
    },
  )

  it('in a lane are not sent once they are given up, and those behind them are', async () => {
    const requests: unknown[][] = []
    const answers: (() => void)[] = []
    const { producer } = setup(
      (records) =>
        new Promise((resolve) => {
          requests.push(records.map(valueOf))
          answers.push(() => resolve(records.map((_, index) => stored(index))))
        }),
      { maxInFlight: 1 },
    )
    const stop = new AbortController()
    const first = producer.send({ key: 'k', value: 0 })
    await settle()
    const sends = [1, 2, 3, 4].map((value) =>
      codeOf(producer.send({ key: 'k', value }, value % 2 === 1 ? { signal: stop.signal } : {})),
    )
    await settle()
    stop.abort()
    answers[0]?.()
    await first
    await settle()
    answers[1]?.()
    expect(await Promise.all(sends)).toEqual(['aborted', 'ok', 'aborted', 'ok'])
    expect(requests).toEqual([[0], [2, 4]])
    await producer.close()
  })
})
