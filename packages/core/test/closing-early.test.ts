import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { connect, defineFunction } from '../src/index.ts'
import type { Cloud } from '../src/index.ts'
import { fakeTopic } from './fake-topic.ts'
import { codeOf } from './producer-setup.ts'
import { plainDriver, recordAt, ScriptedLog, untilAborted } from './scripted-log.ts'

const never = new Promise<never>(() => undefined)
const unopened = (): Promise<Cloud> => connect('x:', { driver: { ...plainDriver, openTopic: () => never } })

describe('a close while the topic is being opened, which never ends,', () => {
  it('ends a run', async () => {
    const consumer = (await unopened()).topic('t').consumer({ group: 'g' })
    const running = consumer.run(() => undefined)
    await consumer.close({ timeoutMs: 0 })
    expect(await codeOf(running)).toBe('ok')
  })

  it('ends a loop', async () => {
    const consumer = (await unopened()).topic('t').consumer({ group: 'g' })
    const next = consumer[Symbol.asyncIterator]().next()
    await consumer.close({ timeoutMs: 0 })
    expect(await next).toEqual({ done: true, value: undefined })
  })

  it('ends a read by its own signal', async () => {
    const stop = new AbortController()
    const cloud = await unopened()
    const reading = Array.fromAsync(cloud.topic('t').read({ signal: stop.signal }))
    stop.abort()
    expect(await codeOf(reading)).toBe('aborted')
  })
})

it('a close during a subscription that is aborted by it ends a run, and is no failure of it', async () => {
  const topic = {
    ...fakeTopic(() => Promise.resolve([])),
    subscribe: (_: unknown, signal: AbortSignal) => untilAborted(signal),
  }
  const cloud = await connect('x:', { driver: { ...plainDriver, openTopic: () => Promise.resolve(topic) } })
  const consumer = cloud.topic('t').consumer({ group: 'g' })
  const running = consumer.run(() => undefined)
  await consumer.close({ timeoutMs: 0 })
  expect(await codeOf(running)).toBe('ok')
})

it('no batch handler starts after a close, however long reading takes to end', async () => {
  const log = new ScriptedLog()
  const ended = Promise.withResolvers<readonly []>()
  log.poll = (read) => (read === 1 ? Promise.resolve([recordAt(0)]) : ended.promise)
  const cloud = await connect('x:', { driver: log.driver })
  const consumer = cloud.topic('t').consumer({ group: 'g' })
  let begun = 0
  const running = consumer.run(() => void begun++, { batch: { max: 10, waitMs: 100 } })
  await eventually(() => expect(consumer.stats().received).toBe(1))
  const closing = consumer.close({ timeoutMs: 5_000 })
  setTimeout(() => ended.resolve([]), 300)
  await Promise.all([closing, running])
  expect([begun, log.commits.length]).toEqual([0, 0])
})

it('a worker whose outputs do not go ends in the time that its close was given', async () => {
  const log = new ScriptedLog()
  log.poll = (read) => (read === 1 ? Promise.resolve([recordAt(0)]) : undefined)
  const out = fakeTopic(() => never)
  const openTopic = (name: string): ReturnType<typeof log.driver.openTopic> =>
    name === 'out' ? Promise.resolve(out) : log.driver.openTopic(name, new AbortController().signal)
  const cloud = await connect('x:', { driver: { ...plainDriver, openTopic } })
  const copy = defineFunction({ name: 'copy', handle: ({ value }) => ({ value }) })
  const worker = cloud.worker(copy, { from: 'in', to: 'out', deadLetter: false })
  const running = worker.run()
  await eventually(() => expect(worker.stats().running).toBe(1))
  const closedMs = performance.now()
  expect(await codeOf(worker.close({ timeoutMs: 50 }))).toBe('timeout')
  await running
  await cloud.close({ timeoutMs: 50 }).catch(() => undefined)
  expect(performance.now() - closedMs).toBeLessThan(10_000)
  expect(log.commits).toEqual([])
})
