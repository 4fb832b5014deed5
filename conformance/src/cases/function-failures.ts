import { defineFunction } from '@sluice/core'
import { behind } from '../behind.ts'
import type { Case } from '../case.ts'
import { all, logShape } from '../case.ts'
import type { CaseContext, Shimmed } from '../context.ts'
import { between, each, equal, refuses, sameOrder, that } from '../expect.ts'
import { bench, messages, numbers, range, sendAll, sendInTurn, texts } from '../setup.ts'
import { benchTo, outputs, settled, start } from './worker-setup.ts'
import type { Handle } from './worker-setup.ts'

/** Functions that fail, and workers that die. */
export const functionFailureCases: readonly Case[] = [
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
    name: 'function/refused-output-is-dead-lettered',
    title: 'a message with an output that the backend refuses for good is a dead letter; all others go on',
    needs: (world) =>
      world.capabilities.explicitPartition ? true : 'an output is refused here by a partition that is not there',
    run: refusedOutput,
  },
  {
    name: 'function/output-before-ack',
    title: 'an output that cannot be stored keeps its message from being acknowledged',
    run: outputBeforeAck,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
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

async function refusedOutput(context: CaseContext): Promise<void> {
  const { cloud, topic, name, to } = await benchTo(context)
  await sendAll(topic, messages(12, 3))
  const handle: Handle = ({ value }) => (value === 4 ? { value, partition: 'not-there' } : { value })
  const made = start(context, cloud, handle, { from: name, to, retry: { maxAttempts: 2, baseMs: 5, maxMs: 10 } })
  await context.eventually(() => that(made.worker.stats().deadLettered >= 1, 'a dead letter was counted'))
  const out = await outputs(context, cloud, to, 11)
  await made.stop()
  const values = out.map((one) => Number(one.value))
  each(texts(values), texts(range(12).filter((value) => value !== 4)), copies(context) ** 2, 'the other outputs')
  const letters: string[] = []
  for await (const letter of cloud.admin.deadLetters(`${name}.dead-letters`))
    letters.push(new TextDecoder().decode(letter.body))
  between(letters.length, 1, copies(context) ** 2, 'dead letters')
  equal(letters[0], '4', 'the message whose output was refused')
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
    const left = (await cloud.admin.lag(name, group)).reduce((sum, one) => sum + behind(one), 0)
    equal(left, 0, 'what is left')
  }, 15_000)
  await worker.close()
  await running
  const found: number[] = []
  for await (const message of numbers(cloud, to).read()) found.push(message.value)
  // Inputs that were stored twice (an answer lost on send, no deduplication) give outputs twice: the bound is theirs.
  each(texts(found), texts([...range(total), ...range(total, 1_000)]), copies(context), 'outputs after six kills')
}
