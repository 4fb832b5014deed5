import type { Case } from '../case.ts'
import { logShape } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, that } from '../expect.ts'
import { read } from '../reading.ts'
import { bench, member, messages, numbers, range, sendAll, sendInTurn, texts } from '../setup.ts'
import { allTakePart } from './groups.ts'

/** What is read ahead, for how long it is ours, and how reading is held up. */
export const flowCases: readonly Case[] = [
  {
    name: 'flow/credits-bounded',
    title:
      'a stuck handler in front of a large backlog: records and bytes read ahead stay under their bounds, and memory is flat',
    run: creditsBounded,
    deadlineMs: 60_000,
  },
  {
    name: 'flow/deadline-starts-at-handler',
    title: 'records that waited behind slow handlers are not delivered a second time',
    run: deadlineStartsAtHandler,
    deadlineMs: 40_000,
  },
  {
    name: 'flow/long-handler-keeps-its-lease',
    title: 'a handler that takes longer than the lease keeps its record, with another member waiting',
    run: longHandler,
    deadlineMs: 40_000,
  },
  {
    name: 'flow/pause-resume',
    title: 'pause starts no new handler and keeps the partitions; resume goes on without a gap',
    run: pauseResume,
  },
  {
    name: 'flow/uncommitted-bounded',
    title: 'behind a record that is not done a partition is read no further than maxUncommitted, and goes on after',
    needs: logShape,
    run: uncommittedBounded,
  },
]

async function creditsBounded(context: CaseContext): Promise<void> {
  const { topic, cloud, name } = await bench(context)
  const { backlog } = context.world.tuning
  const producer = topic.producer({ maxBufferedRecords: 20_000 })
  for (let first = 0; first < backlog; first += 10_000) {
    const part = messages(Math.min(10_000, backlog - first), 0, first)
    const failed = (await producer.sendAll(part)).filter((result) => !result.ok)
    equal(failed.length, 0, 'sends that failed')
  }
  await producer.close()
  const reader = await context.shimmed()
  const consumer = member(numbers(reader.cloud, name), context.name('g'), {
    maxBufferedRecords: 200,
    maxBufferedBytes: 1_000_000,
  })
  let release = (): void => undefined
  const stuck = new Promise<void>((resolve) => (release = resolve))
  const before = process.memoryUsage.rss()
  const reading = read(context, consumer, { handle: () => stuck, concurrency: 4 })
  let most = 0
  let mostBytes = 0
  await context.eventually(() => that(reading.deliveries.length >= 1, 'a handler runs'))
  for (let sample = 0; sample < 30; sample++) {
    most = Math.max(most, consumer.stats().bufferedRecords)
    mostBytes = Math.max(mostBytes, consumer.stats().bufferedBytes)
    await context.pause(15)
  }
  const grown = process.memoryUsage.rss() - before
  const over = reader.shim
    .callsOf({ operation: ['poll', 'pull'] })
    .filter((call) => call.received > (call.credit?.records ?? 0))
  release()
  await context.eventually(() => that(consumer.stats().received > 1_000, 'reading goes on once the handler is free'))
  await reading.stop()
  await cloud.admin.lag(name, context.name('nobody')).catch(() => undefined)
  between(most, 1, 200, 'records read ahead by a consumer that may hold 200')
  between(mostBytes, 1, 1_001_000, 'bytes read ahead by a consumer that may hold 1 000 000')
  equal(over.length, 0, 'answers with more records than the credit that was given')
  that(grown < 256 * 1024 * 1024, `memory grew by ${Math.round(grown / 1024 / 1024)} MiB while the handler was stuck`)
}

/** The lease of a record or a partition here, as far as the harness or the source tells. */
function leaseMs(context: CaseContext): number {
  return context.world.tuning.failoverMs
}

async function deadlineStartsAtHandler(context: CaseContext): Promise<void> {
  const { topic, name, shim } = await bench(context)
  const group = context.name('g')
  const handlerMs = Math.round(leaseMs(context) * 0.9)
  const other = await context.shimmed()
  const into: never[] = []
  const options = { concurrency: 2, handle: () => context.pause(handlerMs) }
  const first = read(context, member(topic, group, { maxBufferedRecords: 10 }), { ...options, member: 'a', into })
  const second = read(context, member(numbers(other.cloud, name), group, { maxBufferedRecords: 10 }), {
    ...options,
    member: 'b',
    into,
  })
  await allTakePart(context, group, first.consumer, second.consumer)
  await sendInTurn(topic, messages(12, 4))
  const came = (): number => new Set(first.values()).size
  await context.eventually(() => that(came() >= 12, `${came()} of 12 records came`), 30_000)
  await context.pause(leaseMs(context))
  await Promise.all([first.stop(), second.stop()])
  // Slow handlers must not cost a lease. Only where this process itself stood still for longer than it takes to renew one,
  // as on a machine that is far too busy, does each loss excuse a repeat.
  const stood = context.stalls.longest() > context.world.tuning.failoverMs / 3
  const losses = [shim, other.shim].flatMap(({ events }) => events.filter(({ kind }) => kind === 'lost')).length
  each(
    texts(first.values()),
    texts(range(12)),
    (context.world.harness.copies ?? 1) + (stood ? losses : 0),
    'records that waited behind slow handlers',
  )
}

async function longHandler(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  const other = await context.connect()
  await sendAll(topic, messages(4, 4))
  const into: never[] = []
  const handle = (): Promise<void> => context.pause(Math.round(leaseMs(context) * 2.5))
  const patient = { revokeTimeoutMs: Math.max(10_000, leaseMs(context) * 4) }
  const first = read(context, member(topic, group, patient), { handle, member: 'a', into })
  await context.eventually(() => that(first.deliveries.length >= 4, 'all four handlers run'))
  const second = read(context, member(numbers(other, name), group, patient), {
    handle,
    member: 'b',
    into,
  })
  await context.pause(Math.round(leaseMs(context) * 3.5))
  await Promise.all([first.stop(), second.stop()])
  each(
    texts(first.values()),
    texts(range(4)),
    context.world.harness.copies ?? 1,
    'records whose handlers outlasted the lease',
  )
}

async function uncommittedBounded(context: CaseContext): Promise<void> {
  const { topic } = await bench(context, { partitions: 1 })
  await sendInTurn(topic, [{ value: 0, key: 'stuck' }])
  await sendAll(topic, messages(200, 50, 1))
  const gate = Promise.withResolvers<void>()
  const bounds = { maxUncommitted: 20, maxBufferedRecords: 10 }
  const reading = read(context, member(topic, context.name('g'), bounds), {
    handle: ({ key }) => (key === 'stuck' ? gate.promise : undefined),
  })
  context.defer(async () => gate.resolve())
  await context.eventually(() => that(reading.deliveries.length >= 15, 'records behind the stuck one are handled'))
  await context.settleWindow(Math.max(300, context.world.tuning.settleMs))
  between(reading.deliveries.length, 15, 30, 'records handed out behind one that is not done')
  gate.resolve()
  await reading.count(201)
  await reading.stop()
  each(
    texts(reading.values()),
    texts(range(201)),
    context.world.harness.copies ?? 1,
    'records of a partition that was held back',
  )
}

async function pauseResume(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const group = context.name('g')
  const consumer = member(topic, group)
  const reading = read(context, consumer)
  await sendAll(topic, messages(40, 4))
  await reading.count(40)
  const held = consumer.stats().partitions
  consumer.pause()
  await sendAll(topic, messages(40, 4, 40))
  await context.pause(Math.max(200, context.world.tuning.settleMs))
  const during = reading.deliveries.length
  const kept = consumer.stats().partitions
  consumer.resume()
  await reading.count(80)
  await reading.stop()
  between(during, 40, 40 * (context.world.harness.copies ?? 1), 'deliveries while paused: those from before')
  equal(kept.toSorted(), held.toSorted(), 'partitions held while paused')
  each(
    texts(reading.values()),
    texts(range(80)),
    context.world.harness.copies ?? 1,
    'records before and after the pause',
  )
}
