import type { Case, Need } from '../case.ts'
import { all, keyOrder, logShape } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, firsts, rejects, sameOrder, that } from '../expect.ts'
import type { World } from '../harness.ts'
import { ofKey, read } from '../reading.ts'
import type { Reading } from '../reading.ts'
import { allOnce, bench, member, messages, numbers, range, sendAll, texts } from '../setup.ts'
import type { Bench } from '../setup.ts'

/** Topics that change their number of partitions, and how far groups are behind. */
export const reshardCases: readonly Case[] = [
  {
    name: 'group/partition-growth',
    title: 'partitions added to a running group are read from their first record, and keys keep their order',
    needs: (world) => all(logShape(world), canGrow(world.capabilities.repartition)),
    refusal: (context) => refuseRepartition(context, 8),
    run: (context) => reshape(context, { from: 2, to: 5, running: true }),
  },
  {
    name: 'group/reshard-split',
    title: 'a split while nobody runs loses nothing: parents are read before children',
    needs: (world) => all(logShape(world), keyOrder(world), canGrow(world.capabilities.repartition)),
    refusal: (context) => refuseRepartition(context, 8),
    run: split,
  },
  {
    name: 'group/reshard-merge',
    title: 'a merge, running and stopped, loses nothing: parents are read before children',
    needs: (world) =>
      all(
        logShape(world),
        world.capabilities.repartition === 'any'
          ? true
          : `the capability repartition is ${String(world.capabilities.repartition)}`,
      ),
    refusal: (context) => refuseRepartition(context, 1),
    run: merge,
  },
  {
    name: 'group/emptied-parent',
    title:
      'a partition that ended, and whose last records retention removed, does not keep its children from being read',
    needs: (world) => all(logShape(world), retentionCanBeWaitedFor(world), canGrow(world.capabilities.repartition)),
    refusal: (context) => refuseRepartition(context, 8),
    run: emptiedParent,
    deadlineMs: 40_000,
  },
  {
    name: 'group/lag',
    title: 'lag tells how far a group is behind, and is zero when it is not',
    needs: (world) => (world.capabilities.lag.length > 0 ? true : 'the capability lag is empty'),
    refusal: async (context) => {
      const { cloud, name } = await bench(context)
      await rejects(cloud.admin.lag(name, 'g'), 'unsupported', 'lag where the backend cannot tell it')
    },
    run: lag,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

function canGrow(repartition: 'grow' | 'any' | false): Need {
  return repartition === false ? 'the capability repartition is false' : true
}

function retentionCanBeWaitedFor(world: World): Need {
  const { admin, retention } = world.capabilities
  const soon = admin.includes('retention') && retention.minMs <= shortRetentionMs
  return soon ? true : { notRun: 'retention cannot be waited for here' }
}

/** As short as a case can wait for, in milliseconds. */
const shortRetentionMs = 300

async function reshape(
  context: CaseContext,
  plan: { readonly from: number; readonly to: number; readonly running: boolean },
): Promise<void> {
  const { topic, name, cloud } = await bench(context, { partitions: plan.from })
  const group = context.name('g')
  const first = plan.running ? startReading(context, topic, group) : undefined
  await sendAll(topic, messages(200, 25))
  if (first !== undefined) await context.eventually(() => that(first.deliveries.length >= 20, 'the member is at work'))
  await cloud.admin.setPartitions(name, plan.to)
  await sendAll(numbers(await context.connect(), name), messages(200, 25, 200))
  const reading = first ?? startReading(context, topic, group)
  await reading.count(400)
  const open = (await cloud.admin.describeTopic(name)).partitions.filter((partition) => partition.state === 'open')
  await reading.stop()
  equal(open.length, plan.to, 'open partitions afterwards')
  each(
    texts(reading.values()),
    texts(range(400)),
    copies(context),
    `records from ${plan.from} to ${plan.to} partitions`,
  )
  for (const key of range(25)) {
    const seen = firsts(ofKey(reading.deliveries, `k${key}`), (one) => one.id).map((one) => one.value)
    sameOrder(
      seen,
      range(400).filter((value) => value % 25 === key),
      `key k${key} from ${plan.from} to ${plan.to} partitions`,
    )
  }
}

function startReading(context: CaseContext, topic: Bench['topic'], group: string, name = 'only'): Reading<number> {
  return read(context, member(topic, group), { member: name, handle: () => context.pause(1) })
}

async function split(context: CaseContext): Promise<void> {
  await reshape(context, { from: 2, to: 4, running: false })
  await reshape(context, { from: 1, to: 3, running: true })
  await halfway(context, 1, 4)
}

async function merge(context: CaseContext): Promise<void> {
  await reshape(context, { from: 4, to: 2, running: true })
  await reshape(context, { from: 5, to: 1, running: false })
  await halfway(context, 4, 1)
}

/** The group ends in the middle of the parents and goes on after the change: parents first, where it ended. */
async function halfway(context: CaseContext, from: number, to: number): Promise<void> {
  const { topic, name, cloud } = await bench(context, { partitions: from })
  const group = context.name('g')
  await sendAll(topic, messages(100, 10))
  const before = startReading(context, topic, group, 'before')
  await context.eventually(() => that(before.deliveries.length >= 30, 'some records were handled'))
  await before.stop()
  await cloud.admin.setPartitions(name, to)
  await sendAll(topic, messages(100, 10, 100))
  const after = startReading(context, topic, group, 'after')
  await context.eventually(() => {
    const seen = new Set([...before.values(), ...after.values()])
    equal(
      range(200).filter((value) => !seen.has(value)),
      [],
      'records that are missing so far',
    )
  })
  await context.settleWindow()
  await after.stop()
  const deliveries = [...before.deliveries, ...after.deliveries]
  await allOnce(context, name, deliveries, range(200), 'records over a change between two members')
  for (const key of range(10)) {
    const seen = firsts(ofKey(deliveries, `k${key}`), (one) => one.id).map((one) => one.value)
    sameOrder(
      seen,
      range(200).filter((value) => value % 10 === key),
      `key k${key} over a change between two members`,
    )
  }
}

async function emptiedParent(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context, { partitions: 1 })
  const group = context.name('g')
  await sendAll(topic, messages(20, 1))
  const away = read(context, member(topic, group, { maxBufferedRecords: 1 }), {
    handle: ({ value }) => (value < 3 ? undefined : new Promise(() => undefined)),
  })
  await context.eventually(() => that(away.consumer.stats().acked >= 3, 'the group has begun'))
  await away.consumer.close({ timeoutMs: 100 }).catch(() => undefined)
  await cloud.admin.setPartitions(name, 2)
  await cloud.admin.setRetention(name, { retentionMs: shortRetentionMs })
  await context.eventually(async () => {
    const [parent] = (await cloud.admin.describeTopic(name)).partitions
    equal([parent?.state, parent?.earliest], ['ended', undefined], 'the state and first record of the old partition')
    for await (const message of topic.read()) that(false, `retention has removed record ${message.value}`)
  }, 20_000)
  // Where a log is replicated each copy removes its records in its own time, and one that is late would keep them from here on.
  await context.settleWindow(2 * shortRetentionMs)
  await cloud.admin.setRetention(name, { retentionMs: 3_600_000 })
  await sendAll(topic, messages(5, 1, 20))
  for (const [who, heir] of [
    ['a group that was away', group],
    ['a new group', context.name('g')],
  ] as const) {
    const reading = read(context, member(topic, heir))
    await reading.count(5)
    await reading.stop()
    each(texts(reading.values()), texts(range(5, 20)), copies(context), `records behind an emptied partition, ${who}`)
  }
  const found: number[] = []
  const reads = (async () => {
    for await (const message of topic.read()) found.push(message.value)
  })()
  await context.within(reads, context.world.tuning.patienceMs, 'reading without a group')
  each(texts(found), texts(range(5, 20)), copies(context), 'records behind an emptied partition, without a group')
}

async function refuseRepartition(context: CaseContext, count: number): Promise<void> {
  const { cloud, name } = await bench(context)
  await rejects(cloud.admin.setPartitions(name, count), 'unsupported', `changing to ${count} partitions`)
}

async function lag(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context)
  const group = context.name('g')
  const { capabilities } = context.world
  await rejects(cloud.admin.lag(name, group), 'not-found', 'the lag of a group that is not known')
  await sendAll(topic, messages(30, 6))
  const reading = read(context, member(topic, group), {
    handle: ({ value }) => (value >= 24 ? new Promise(() => undefined) : undefined),
  })
  await reading.count(30)
  const sum = async (): Promise<{ readonly messages: number; readonly ageMs: number }> => {
    const lags = await cloud.admin.lag(name, group)
    return {
      messages: lags.reduce((total, one) => total + (one.messages ?? 0), 0),
      ageMs: Math.max(...lags.map((one) => one.ageMs ?? 0)),
    }
  }
  await context.eventually(async () => {
    const behind = await sum()
    if (capabilities.lag.includes('messages'))
      between(behind.messages, 6, 30 * copies(context), 'records behind with six stuck at the end')
    if (capabilities.lag.includes('age')) between(behind.ageMs, 1, 60_000, 'age of the oldest record not done')
  })
  await reading.consumer.close({ timeoutMs: 50 }).catch(() => undefined)
  const heir = read(context, member(numbers(await context.connect(), name), group))
  await context.eventually(async () => {
    const behind = await sum()
    if (capabilities.lag.includes('messages')) equal(behind.messages, 0, 'records behind when all is done')
    if (capabilities.lag.includes('age')) equal(behind.ageMs, 0, 'age of the oldest record when all is done')
  })
  await heir.stop()
}
