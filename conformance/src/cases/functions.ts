import { defineFunction } from '@sluice/core'
import type { Cloud, FunctionOutput, Message, Worker, WorkerOptions } from '@sluice/core'
import type { Case } from '../case.ts'
import { all, keyOrder, logShape, notRunYet } from '../case.ts'
import { json } from '../codecs.ts'
import type { CaseContext, Shimmed } from '../context.ts'
import { between, each, equal, firsts, refuses, sameOrder, that } from '../expect.ts'
import { bench, drain, messages, numbers, range, sendAll, sendInTurn, texts } from '../setup.ts'
import type { Bench } from '../setup.ts'

/** A function between two topics, on the worker host. */
export const functionCases: readonly Case[] = [
  { name: 'function/maps', title: 'one message in, one out, with its key', run: maps },
  { name: 'function/filters', title: 'a function that gives nothing puts nothing out', run: filters },
  {
    name: 'function/fans-out',
    title: 'a function may give many, also as it goes, and their order is kept',
    run: fansOut,
  },
  {
    name: 'function/order-per-key',
    title: 'outputs of a key come in the order of its inputs',
    needs: keyOrder,
    run: orderPerKey,
  },
  {
    name: 'function/failure-reports-lowest',
    title: 'progress stops below the lowest message that failed, whatever was done beyond it',
    needs: logShape,
    run: failure,
  },
  {
    name: 'function/retries-then-dead-letter',
    title: 'a message the function cannot handle is retried, then dead-lettered, and leaves no output',
    run: retriesThenDeadLetter,
  },
  {
    name: 'function/output-and-offset-are-one',
    title: 'outputs and progress are stored together: after a kill at any point each output is there once',
    needs: (world) =>
      all(
        world.capabilities.transactions ? true : 'the capability transactions is false',
        world.shape === 'log' ? true : 'topics here are queues, which have no offset to store with the outputs',
      ),
    refusal: refuseExactlyOnce,
    run: outputAndOffset,
    deadlineMs: 30_000,
  },
  {
    name: 'function/output-before-ack',
    title: 'an output that cannot be stored keeps its message from being acknowledged',
    run: outputBeforeAck,
  },
  notRunYet(
    'function/cold-and-warm-agree',
    'a cold and a warm serverless instance give the same outputs',
    'needs a serverless host: functions run on the worker host here',
  ),
]

interface Made {
  readonly worker: Worker
  readonly running: Promise<void>
  stop(): Promise<void>
}

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

type Handle = (message: Message<number>) => FunctionOutput<unknown> | Promise<FunctionOutput<unknown>>

function start(context: CaseContext, cloud: Cloud, handle: Handle, options: WorkerOptions): Made {
  const worker = cloud.worker(defineFunction<number, unknown>({ name: context.name('f'), handle }), {
    retry: { baseMs: 5, maxMs: 30 },
    commitIntervalMs: 10,
    ...options,
  })
  const running = worker.run()
  void running.catch(() => undefined)
  return {
    worker,
    running,
    stop: async () => {
      await worker.close()
      await running
    },
  }
}

async function benchTo(context: CaseContext): Promise<Bench & { readonly to: string }> {
  const made = await bench(context)
  return { ...made, to: await context.createTopic(made.cloud) }
}

async function settled(context: CaseContext, made: Made, count: number): Promise<void> {
  await context.eventually(() => {
    const { acked, skipped, deadLettered } = made.worker.stats()
    that(acked + skipped + deadLettered >= count, `${acked + skipped + deadLettered} of ${count} messages are settled`)
  })
  await context.settleWindow()
}

async function outputs(
  context: CaseContext,
  cloud: Cloud,
  to: string,
  expected: number,
): Promise<readonly { readonly value: unknown; readonly key: string | undefined; readonly id: string }[]> {
  return (await drain(context, cloud.topic(to, { codec: json<unknown>() }), expected)).deliveries
}

async function maps(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(60, 6))
  const made = start(
    context,
    cloud,
    ({ value, key }) => ({ value: value * 2, ...(key === undefined ? {} : { key }) }),
    { from: name, to },
  )
  await settled(context, made, 60)
  const { produced } = made.worker.stats()
  await made.stop()
  const out = await outputs(context, cloud, to, 60)
  between(produced, 60, 60 * copies(context), 'outputs counted')
  each(texts(out.map((one) => one.value)), texts(range(60).map((value) => value * 2)), copies(context) ** 2, 'outputs')
  for (const one of out) equal(one.key, `k${(Number(one.value) / 2) % 6}`, `the key of output ${String(one.value)}`)
}

async function filters(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(40, 4))
  const made = start(
    context,
    cloud,
    ({ value }) => (value % 4 === 1 ? { value } : value % 4 === 2 ? null : undefined),
    { from: name, to },
  )
  await settled(context, made, 40)
  await made.stop()
  const out = await outputs(context, cloud, to, 10)
  each(
    texts(out.map((one) => one.value)),
    texts(range(40).filter((value) => value % 4 === 1)),
    copies(context) ** 2,
    'outputs that were let through',
  )
}

async function fansOut(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(20, 2))
  const handle = ({ value }: Message<number>): FunctionOutput<unknown> => {
    const parts = range(3).map((part) => ({ value: value * 10 + part, key: `out-${value}` }))
    return value % 2 === 0 ? parts : stream(parts)
  }
  const made = start(context, cloud, handle, { from: name, to })
  await settled(context, made, 20)
  await made.stop()
  const out = await outputs(context, cloud, to, 60)
  const expected = range(20).flatMap((value) => range(3).map((part) => value * 10 + part))
  each(
    texts(out.map((one) => one.value)),
    texts(expected),
    copies(context) ** 2,
    'outputs of a function that gives three',
  )
  if (context.world.order === 'none') return
  for (const value of range(20)) {
    const of = firsts(
      out.filter((one) => one.key === `out-${value}`),
      (one) => String(one.value),
    ).map((one) => one.value)
    sameOrder(
      of,
      range(3).map((part) => value * 10 + part),
      `outputs of message ${value}`,
    )
  }
}

async function* stream<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await new Promise((resolve) => setImmediate(resolve))
    yield item
  }
}

async function orderPerKey(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(150, 5))
  const handle: Handle = async ({ value, key, attempt }) => {
    await context.pause(Math.floor(context.random() * 4))
    if (value % 29 === 7 && attempt === 1) throw new Error('at the second try')
    return { value, ...(key === undefined ? {} : { key }) }
  }
  const made = start(context, cloud, handle, { from: name, to })
  await settled(context, made, 150)
  await made.stop()
  const out = await outputs(context, cloud, to, 150)
  each(texts(out.map((one) => one.value)), texts(range(150)), copies(context) ** 2, 'outputs')
  for (const key of range(5)) {
    const of = firsts(
      out.filter((one) => one.key === `k${key}`),
      (one) => String(one.value),
    ).map((one) => one.value)
    sameOrder(
      of,
      range(150).filter((value) => value % 5 === key),
      `outputs of key k${key}`,
    )
  }
}

async function failure(context: CaseContext): Promise<void> {
  const made = await bench(context, { partitions: 1 })
  const { cloud, name } = made
  const to = await context.createTopic(cloud)
  const group = context.name('g')
  await sendInTurn(
    made.topic,
    range(10).map((value) => ({ value, key: `k${value}` })),
  )
  const positions: (string | undefined)[] = []
  for await (const message of made.topic.read()) if (message.value >= positions.length) positions.push(message.position)
  const handle: Handle = ({ value }) => {
    if (value === 4 || value === 7) throw new Error('this one never works')
    return { value }
  }
  const first = start(context, cloud, handle, { from: name, to, group, deadLetter: false })
  await settled(context, first, 8)
  const lag = await cloud.admin.lag(name, group)
  await made.crash()
  // The record before the lowest one that failed; with repeats of it behind it, any of those.
  that(lag[0]?.committed !== undefined, 'something is committed')
  if (copies(context) === 1) equal(lag[0]?.committed, positions[3], 'progress with 4 and 7 failing')
  const heir = await context.shimmed()
  const again = new Set<number>()
  const second = start(context, heir.cloud, ({ value }) => void again.add(value), { from: name, to, group })
  await context.eventually(() => that(again.has(4) && again.has(7), 'what failed came again'))
  await second.stop()
  that(
    ![0, 1, 2, 3].some((value) => again.has(value)) || copies(context) > 1,
    `nothing below the lowest failure came again: ${[...again].join(' ')}`,
  )
}

async function retriesThenDeadLetter(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  const tries: number[] = []
  await sendAll(topic, messages(12, 3))
  const handle: Handle = ({ value, attempt }) => {
    if (value !== 4) return { value }
    tries.push(attempt)
    throw new Error('never works')
  }
  const made = start(context, cloud, handle, { from: name, to, retry: { maxAttempts: 3, baseMs: 5, maxMs: 10 } })
  await settled(context, made, 12)
  await made.stop()
  if (copies(context) === 1) sameOrder(tries, [1, 2, 3], 'attempts of the message that never works')
  const out = await outputs(context, cloud, to, 11)
  each(
    texts(out.map((one) => one.value)),
    texts(range(12).filter((value) => value !== 4)),
    copies(context) ** 2,
    'outputs beside a dead letter',
  )
  const reasons: string[] = []
  for await (const letter of cloud.admin.deadLetters(`${name}.dead-letters`)) reasons.push(letter.reason)
  between(reasons.length, 1, copies(context) ** 2, 'dead letters')
  that(reasons[0]?.includes('never works') === true, `the reason says what went wrong: ${reasons.join()}`)
}

async function outputBeforeAck(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to, shim, crash } = await benchTo(context)
  const group = context.name('g')
  shim.fail({ operation: 'sendBatch', topic: to }, 'unavailable')
  shim.fail('transact', 'unavailable')
  await sendAll(topic, messages(6, 6))
  const handled = new Set<number>()
  start(context, cloud, ({ value }) => (handled.add(value), { value }), { from: name, to, group })
  await context.eventually(() => equal(handled.size, 6, 'messages handled'))
  await context.settleWindow()
  await crash()
  const heir = await context.shimmed()
  const again = start(context, heir.cloud, ({ value }) => ({ value }), { from: name, to, group })
  await settled(context, again, 6)
  await again.stop()
  const out = await outputs(context, heir.cloud, to, 6)
  each(
    texts(out.map((one) => one.value)),
    texts(range(6)),
    copies(context) ** 2,
    'outputs after the first worker could store none',
  )
}

async function refuseExactlyOnce(context: CaseContext): Promise<void> {
  const { cloud, name, shim } = await bench(context)
  const to = context.name()
  const definition = defineFunction<number, number>({ name: 'f', handle: ({ value }) => ({ value }) })
  await refuses(
    () => cloud.worker(definition, { from: name, to, delivery: 'exactly-once' }).run(),
    'unsupported',
    'a worker that must deliver exactly once',
  )
  equal(shim.callsOf({ operation: ['poll', 'pull'] }).length, 0, 'reads of the backend')
  if (context.world.capabilities.transactions) return
  equal(cloud.worker(definition, { from: name, to }).delivery, 'at-least-once', 'what a worker delivers that need not')
}

/** Workers are killed before, inside and after their transactions; the answers of some are lost. */
async function outputAndOffset(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  const group = context.name('g')
  const total = 300
  await sendAll(topic, messages(total, 15))
  const handle: Handle = ({ value, key }) => [
    { value, ...(key === undefined ? {} : { key }) },
    { value: value + 1_000, ...(key === undefined ? {} : { key }) },
  ]
  for (let round = 0; round < 6; round++) {
    const made: Shimmed = await context.shimmed()
    if (round % 3 === 1) made.shim.fail('transact', 'unavailable', { times: 1 })
    if (round % 3 === 2) made.shim.loseAnswer('transact', { times: 1 })
    const { worker } = start(context, made.cloud, handle, {
      from: name,
      to,
      group,
      delivery: 'exactly-once',
      maxBufferedRecords: 20,
    })
    equal(worker.delivery, 'exactly-once', 'what the worker says it delivers')
    const after = Math.ceil(context.random() * 30)
    const until = performance.now() + 400
    await context.eventually(() =>
      that(worker.stats().received >= after || performance.now() > until, 'the worker is at work, or all is done'),
    )
    await context.pause(Math.floor(context.random() * 25))
    await made.crash()
  }
  const last = await context.shimmed()
  const { worker, running } = start(context, last.cloud, handle, { from: name, to, group, delivery: 'exactly-once' })
  await context.eventually(async () => {
    const behind = (await cloud.admin.lag(name, group)).reduce((sum, one) => sum + (one.messages ?? 0), 0)
    equal(behind, 0, 'messages behind')
  }, 15_000)
  await worker.close()
  await running
  const found: number[] = []
  for await (const message of numbers(cloud, to).read()) found.push(message.value)
  // Inputs that were stored twice (an answer lost on send, no deduplication) give outputs twice: the bound is theirs.
  each(texts(found), texts([...range(total), ...range(total, 1_000)]), copies(context), 'outputs after six kills')
}
