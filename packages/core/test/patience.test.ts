import { StreamError } from '@sluice/driver'
import type { Driver, DriverTopic, ErrorCode } from '@sluice/driver'
import { ManualClock } from '@sluice/driver/testing'
import { expect, it, onTestFinished } from 'vitest'
import { connect } from '../src/index.ts'
import type { Cloud } from '../src/index.ts'
import { stored } from './fake-topic.ts'
import { codeOf } from './producer-setup.ts'
import { plainDriver, recordAt, ScriptedLog } from './scripted-log.ts'

/** A log of one record that also takes sends. */
async function logTopic(): Promise<DriverTopic> {
  const log = new ScriptedLog()
  log.poll = (read) => (read === 1 ? Promise.resolve([recordAt(0)]) : undefined)
  const topic = await log.driver.openTopic('t', new AbortController().signal)
  const sendBatch = (records: readonly unknown[]) => Promise.resolve(records.map((_, at) => stored(at)))
  return { ...topic, producer: () => Promise.resolve({ sendBatch, close: () => Promise.resolve() }) }
}

/** Fails so many times before it does what it should. */
function failing<A extends readonly unknown[], T>(
  times: number,
  code: ErrorCode,
  work: (...given: A) => Promise<T>,
): (...given: A) => Promise<T> {
  let left = times
  return (...given) => (left-- > 0 ? Promise.reject(new StreamError(code, 'injected')) : work(...given))
}

async function opened(driver: Partial<Driver>, clock: ManualClock): Promise<Cloud> {
  const cloud = await connect('x:', { driver: { ...plainDriver, ...driver }, clock })
  onTestFinished(async () => {
    const closing = cloud.close({ timeoutMs: 0 }).catch(() => undefined)
    await clock.advance(60_000)
    await closing
  })
  return cloud
}

it('a first send and a first read wait for a backend that is away for a moment', async () => {
  const clock = new ManualClock()
  const topic = await logTopic()
  const openTopic = failing(3, 'unavailable', () => Promise.resolve(topic))
  const cloud = await opened({ openTopic }, clock)
  const sent = cloud.topic('t').send({ key: 'k', value: 1 })
  const seen: unknown[] = []
  const consumer = cloud.topic('t').consumer({ group: 'g', deadLetter: false })
  void consumer.run(({ value }) => void seen.push(value))
  await clock.advance(5_000)
  expect((await sent).position).toBe('0')
  expect(seen).toEqual([0])
})

it('a backend that stays away is told when the time for connecting is over', async () => {
  const clock = new ManualClock()
  let asked = 0
  const openTopic = (): Promise<never> => {
    asked++
    return Promise.reject(new StreamError('unavailable', 'injected'))
  }
  const cloud = await opened({ openTopic }, clock)
  const codes: string[] = []
  for (const ending of [
    cloud.topic('t').send({ value: 1 }),
    cloud
      .topic('t')
      .consumer({ group: 'g' })
      .run(() => undefined),
  ])
    void codeOf(ending).then((code) => codes.push(code))
  await clock.advance(10_000)
  expect(codes).toEqual([])
  await clock.advance(6_000)
  expect(codes).toEqual(['unavailable', 'unavailable'])
  expect(asked).toBeGreaterThan(5)
  expect(asked).toBeLessThan(60)
})

it('what does not pass is told at once', async () => {
  const cloud = await opened({ openTopic: failing(9, 'permission-denied', logTopic) }, new ManualClock())
  expect(await codeOf(cloud.topic('t').send({ value: 1 }))).toBe('permission-denied')
})

it('of a subscription that failed on the way nothing is left in the next one', async () => {
  const clock = new ManualClock()
  const topic = await logTopic()
  let tries = 0
  const subscribe: DriverTopic['subscribe'] = (options, signal) => {
    if (++tries > 1) return topic.subscribe(options, signal)
    options.events.assigned('1', 1)
    return Promise.reject(new StreamError('timeout', 'injected'))
  }
  const cloud = await opened({ openTopic: () => Promise.resolve({ ...topic, subscribe }) }, clock)
  const consumer = cloud.topic('t').consumer({ group: 'g', deadLetter: false })
  void consumer.run(() => undefined)
  await clock.advance(2_000)
  expect(consumer.stats()).toMatchObject({ partitions: ['0'], received: 1 })
})

it('a close ends the wait for a topic that cannot be opened', async () => {
  const clock = new ManualClock()
  const cloud = await opened({ openTopic: failing(99, 'unavailable', logTopic) }, clock)
  const consumer = cloud.topic('t').consumer({ group: 'g', deadLetter: false })
  const running = codeOf(consumer.run(() => undefined))
  await clock.advance(500)
  await consumer.close()
  expect(await running).toBe('ok')
})

it('a close ends the wait', async () => {
  const clock = new ManualClock()
  let tries = 0
  const topic = await logTopic()
  const subscribe: DriverTopic['subscribe'] = () => {
    tries++
    return Promise.reject(new StreamError('unavailable', 'injected'))
  }
  const cloud = await opened({ openTopic: () => Promise.resolve({ ...topic, subscribe }) }, clock)
  const consumer = cloud.topic('t').consumer({ group: 'g', deadLetter: false })
  const running = codeOf(consumer.run(() => undefined))
  await clock.advance(500)
  expect(tries).toBeGreaterThan(1)
  await consumer.close()
  expect(await running).toBe('ok')
})
