import * as fc from 'fast-check'
import { silentLogger, StreamError } from '@sluice/driver'
import type { Capabilities, DriverTopic, Logger, OutgoingRecord, SendOutcome } from '@sluice/driver'
import { ManualClock, settle } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import type { ProducerOptions } from '../src/api/producer.ts'
import type { RateLimit } from '../src/api/topic.ts'
import { json } from '../src/codecs.ts'
import { IdGenerator } from '../src/ids.ts'
import { TopicProducer } from '../src/producer/producer.ts'
import { RateLimiter } from '../src/rate-limiter.ts'
import { ValueFormat } from '../src/values.ts'
import { allCapabilities, failed, fakeTopic, stored } from './fake-topic.ts'
import type { Answer } from './fake-topic.ts'

interface Setup {
  readonly clock: ManualClock
  readonly producer: TopicProducer<unknown>
}

function setup(
  answer: Answer,
  options: ProducerOptions = {},
  capabilities: Partial<Capabilities> = {},
  rate?: RateLimit,
  openTopic = (topic: DriverTopic) => Promise.resolve(topic),
  logger: Logger = silentLogger,
): Setup {
  const clock = new ManualClock()
  const topic = fakeTopic(answer)
  const producer = new TopicProducer<unknown>({
    topicName: 't',
    openTopic: () => openTopic(topic),
    capabilities: { ...allCapabilities, ...capabilities },
    format: new ValueFormat(json, undefined),
    options,
    rate: rate === undefined ? undefined : new RateLimiter(rate, clock),
    ids: new IdGenerator(clock),
    clock,
    random: () => 0.5,
    logger,
    telemetry: undefined,
    onClosed: () => undefined,
  })
  return { clock, producer }
}

const allStored: Answer = (records) => Promise.resolve(records.map((_, index) => stored(index)))
const valueOf = (record: OutgoingRecord): unknown => JSON.parse(Buffer.from(record.body).toString())
const badFails: Answer = (records) =>
  Promise.resolve(records.map((record) => (valueOf(record) === 'bad' ? failed('invalid-argument') : stored(0))))
const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
    return 'ok'
  } catch (error) {
    return StreamError.is(error) ? error.code : String(error)
  }
}

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

  it('names what close could not send, by the deadline', async () => {
    const { clock, producer } = setup(() => Promise.reject(new StreamError('unavailable', 'down')))
    const sends = [1, 2, 3].map((value) => codeOf(producer.send({ value, id: `id-${value}` })))
    const closed = producer.close({ timeoutMs: 1_000 }).catch((error: unknown) => error)
    for (let n = 0; n < 12; n++) await clock.advance(100)
    expect(await closed).toMatchObject({ code: 'timeout', details: { unsent: ['id-1', 'id-2', 'id-3'] } })
    expect(await Promise.all(sends)).toEqual(['timeout', 'timeout', 'timeout'])
    expect(await codeOf(producer.send({ value: 4 }))).toBe('closed')
    expect(clock.pending).toBe(0)
  })

  it('flush waits for what was sent before it, also at the door, and not for what comes after', async () => {
    const gates: (() => void)[] = []
    const { producer } = setup(
      (records, signal) => new Promise((resolve) => gates.push(() => void allStored(records, signal).then(resolve))),
      { maxBufferedRecords: 1, maxInFlight: 1 },
    )
    const sends = [1, 2].map((value) => producer.send({ value }))
    await settle()
    let flushed = false
    const flush = producer.flush().then(() => (flushed = true))
    const third = producer.send({ value: 3 })
    gates.shift()?.()
    await settle()
    expect(flushed).toBe(false)
    gates.shift()?.()
    await flush
    await Promise.all(sends)
    gates.shift()?.()
    await third
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

  it('answers every send when it closes, also those that wait to be let in', async () => {
    const { clock, producer } = setup(allStored, { maxBufferedRecords: 4 }, {}, { messagesPerSecond: 1 })
    const sends = Array.from({ length: 10 }, (_, value) => codeOf(producer.send({ value })))
    const closing = codeOf(producer.close({ timeoutMs: 500 }))
    for (let n = 0; n < 5; n++) await clock.advance(500)
    expect(await closing).toBe('timeout')
    expect((await Promise.all(sends)).filter((code) => code === 'timeout')).toHaveLength(9)
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
  it('at the door, in lanes and before the topic is open are given up by one signal, in time that grows with their number', async () => {
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
  })

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

it('a producer whose topic opens only after its close lets go of it', async () => {
  const opening = Promise.withResolvers<void>()
  let open = 0
  const { clock, producer } = setup(allStored, {}, {}, undefined, async (topic) => {
    await opening.promise
    open++
    const close = (): Promise<void> => Promise.resolve(void open--)
    return { ...topic, producer: () => Promise.resolve({ sendBatch: allStored, close }) }
  })
  const sending = codeOf(producer.send({ value: 1 }))
  const closing = codeOf(producer.close({ timeoutMs: 100 }))
  await clock.advance(100)
  expect(await Promise.all([sending, closing])).toEqual(['timeout', 'timeout'])
  opening.resolve()
  await settle()
  expect(open).toBe(0)
  expect(await codeOf(producer.send({ value: 2 }))).toBe('closed')
})

it('flush waits out no linger, also of what is let in while it waits', async () => {
  const { clock, producer } = setup(allStored, { lingerMs: 60_000, maxBufferedRecords: 2 })
  const sends = [0, 1, 2, 3, 4, 5, 6].map((value) => producer.send({ value }))
  await settle()
  await producer.flush()
  expect(clock.monotonic()).toBe(0)
  await Promise.all(sends)
  const late = producer.send({ value: 7 })
  await settle()
  expect(producer.stats().bufferedRecords).toBe(1)
  await clock.advance(60_000)
  await late
  await producer.close()
})
