import { afterEach, beforeEach, expect, it } from 'vitest'
import type { World } from '../src/harness.ts'
import { CaseContext } from '../src/context.ts'
import { bench, drain, messages, range } from '../src/setup.ts'
import { member } from '../src/setup.ts'
import { read } from '../src/reading.ts'
import { memoryWorld } from './fixtures.ts'

let world: World
let close: () => Promise<void>
let context: CaseContext
beforeEach(async () => {
  ;({ world, close } = await memoryWorld())
  context = new CaseContext(world, 'test/shim', new AbortController().signal)
})
afterEach(async () => {
  await context.dispose()
  await close()
})

it('changes nothing without rules, and writes down every call', async () => {
  const { topic, shim } = await bench(context)
  await topic.sendAll(messages(5))
  const reading = await drain(context, topic, 5)
  expect(new Set(reading.values())).toEqual(new Set(range(5)))
  expect(shim.callsOf('sendBatch').flatMap((call) => call.records)).toHaveLength(5)
  expect(shim.events.some((event) => event.kind === 'assigned')).toBe(true)
})

it('fails as many calls as it is told to, and no more', async () => {
  const { topic, shim } = await bench(context)
  const rule = shim.fail('sendBatch', 'unavailable', { times: 2 })
  await topic.producer({ retry: { baseMs: 1 } }).send({ value: 1 })
  expect(rule.used).toBe(2)
  expect(shim.callsOf('sendBatch').map((call) => call.error === undefined)).toEqual([false, false, true])
})

it('fails later records of a key with the chosen one where requests keep their order', async () => {
  const { topic, shim } = await bench(context)
  shim.failRecords((record) => record.id === 'chosen', 'throttled', { times: 1 })
  const producer = topic.producer({ lingerMs: 10, retry: { baseMs: 1 } })
  await producer.sendAll([
    { value: 1, key: 'a', id: 'chosen' },
    { value: 2, key: 'a' },
    { value: 3, key: 'b' },
  ])
  const [first] = shim.callsOf('sendBatch')
  expect(first?.outcomes.map((outcome) => outcome.ok)).toEqual([false, false, true])
})

it('loses an answer after the record was stored', async () => {
  const { topic, shim } = await bench(context)
  shim.loseAnswer('sendBatch', { times: 1 })
  await expect(topic.producer({ retry: { maxAttempts: 1 } }).send({ value: 7 })).rejects.toMatchObject({
    code: 'timeout',
    ambiguous: true,
  })
  expect((await drain(context, topic, 1)).values()).toEqual([7])
})

it('holds calls until the rule is removed', async () => {
  const { topic, shim } = await bench(context)
  const rule = shim.hang('sendBatch')
  const sending = topic.send({ value: 1 })
  await context.eventually(() => expect(shim.callsOf('sendBatch')).toHaveLength(1))
  expect(shim.callsOf('sendBatch')[0]?.endedAtMs).toBeUndefined()
  rule.remove()
  await sending
})

it('lets nothing through after a crash, and frees the partitions at once', async () => {
  const { topic, shim, crash } = await bench(context)
  await topic.sendAll(messages(3))
  const group = context.name('g')
  const reading = read(context, member(topic, group), { handle: () => new Promise(() => undefined) })
  await reading.count(3)
  await crash()
  const calls = shim.callsOf('commit').filter((call) => call.error === undefined && call.endedAtMs !== undefined).length
  const other = await context.connect()
  const again = read(context, member(other.topic(topic.name), group))
  await again.count(3)
  await again.stop()
  expect(calls).toBe(0)
})

it('frees also what a member joins that was on its way when its process died', async () => {
  const { topic, shim, crash } = await bench(context)
  await topic.sendAll(messages(3))
  const group = context.name('g')
  read(context, member(topic, group))
  while (shim.callsOf('subscribe').length === 0) await new Promise((resolve) => setImmediate(resolve))
  expect(shim.callsOf('subscribe')[0]?.endedAtMs).toBeUndefined()
  await crash()
  const other = await context.connect()
  const reading = read(context, member(other.topic(topic.name), group))
  await reading.count(3)
  await reading.stop()
})
