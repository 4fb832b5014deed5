import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { each, equal, firsts, sameOrder, that } from '../expect.ts'
import { commitsAfterLoss, uncommitted } from '../progress.ts'
import { between as pick } from '../random.ts'
import { ofKey, read } from '../reading.ts'
import type { Delivery } from '../reading.ts'
import { allOnce, bench, member, messages, numbers, range, sendAll, texts } from '../setup.ts'

/** Groups: everybody gets all, members share, and hand-overs lose nothing. */
export const groupCases: readonly Case[] = [
  {
    name: 'group/two-groups-each-get-all',
    title: 'each of two groups gets every record, though their names differ in a capital letter alone',
    run: twoGroups,
  },
  { name: 'group/members-share', title: 'members of a group share the records, each record once', run: share },
  {
    name: 'group/join',
    title: 'a member that joins takes its part; nothing is lost or repeated, and keys keep their order',
    run: join,
  },
  { name: 'group/leave', title: 'when a member leaves the others take over where it ended', run: leave },
  {
    name: 'group/batch-window-across-revoke',
    title: 'records that wait for a batch are not lost when their partition is handed over or the member closes',
    run: batchWindow,
  },
  {
    name: 'group/resume-after-close',
    title: 'a group goes on exactly where it ended after all members closed',
    run: resumeAfterClose,
  },
  {
    name: 'group/crash-mid-batch',
    title: 'after a kill in the middle every unacknowledged record comes again, and few others do',
    run: crashMidBatch,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

/** Keys keep their order over all members: first deliveries of each key in the order of the sends. */
export function keysInOrder(
  context: CaseContext,
  deliveries: readonly Delivery<number>[],
  keys: number,
  total: number,
): void {
  if (context.world.order === 'none') return
  for (const key of range(keys)) {
    const seen = firsts(ofKey(deliveries, `k${key}`), (one) => one.id).map((one) => one.value)
    sameOrder(
      seen,
      range(total).filter((value) => value % keys === key),
      `first deliveries of key k${key} over all members`,
    )
  }
}

async function twoGroups(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(100, 5))
  const group = context.name('g')
  const one = read(context, member(topic, group))
  const two = read(context, member(topic, group.replace('g', 'G')))
  await sendAll(topic, messages(100, 5, 100))
  await Promise.all([one.count(200), two.count(200)])
  await Promise.all([one.stop(), two.stop()])
  each(texts(one.values()), texts(range(200)), copies(context), 'records of the first group')
  each(texts(two.values()), texts(range(200)), copies(context), 'records of the second group')
}

async function share(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  const other = numbers(await context.connect(), name)
  const into: Delivery<number>[] = []
  const handle = (): Promise<void> => context.pause(2)
  const one = read(context, member(topic, group, sharing), { member: 'one', into, handle })
  const two = read(context, member(other, group, sharing), { member: 'two', into, handle })
  await allTakePart(context, group, one.consumer, two.consumer)
  await sendAll(topic, messages(400, 40))
  await one.count(400)
  await Promise.all([one.stop(), two.stop()])
  await allOnce(context, name, into, range(400), 'records over both members')
  keysInOrder(context, into, 40, 400)
  const parts = ['one', 'two'].map((who) => into.filter((delivery) => delivery.member === who).length)
  that(
    parts.every((part) => part > 0),
    `both members had a part: ${parts.join(' and ')} of ${into.length}`,
  )
}

/** Few read ahead, so that one member of a queue does not take all there is. */
export const sharing = { maxBufferedRecords: 20 }

type Holder = { stats(): { readonly partitions: readonly string[] } }

/** Waits until all members take part: those of a log hold partitions, those of a queue have had an answer. */
export async function allTakePart(context: CaseContext, group: string, ...members: readonly Holder[]): Promise<void> {
  const atWork = (): number =>
    context.world.shape === 'queue'
      ? context.membersAnswered(group)
      : members.filter((one) => one.stats().partitions.length > 0).length
  await context.eventually(() => {
    const count = atWork()
    that(count >= members.length, `${count} of ${members.length} members take part`)
  })
}

async function join(context: CaseContext): Promise<void> {
  const { topic, name, shim } = await bench(context)
  const group = context.name('g')
  const into: Delivery<number>[] = []
  const handle = (): Promise<void> => context.pause(pick(context.random, 1, 4))
  const one = read(context, member(topic, group, sharing), { member: 'one', into, handle })
  await sendAll(topic, messages(200, 20))
  await context.eventually(() => that(into.length >= 50, 'the first member is at work'))
  const late = await context.shimmed()
  const two = read(context, member(numbers(late.cloud, name), group, sharing), { member: 'two', into, handle })
  await allTakePart(context, group, one.consumer, two.consumer)
  await sendAll(topic, messages(200, 20, 200))
  await one.count(400)
  await Promise.all([one.stop(), two.stop()])
  await allOnce(context, name, into, range(400), 'records across a join')
  keysInOrder(context, into, 20, 400)
  that(
    into.some((delivery) => delivery.member === 'two'),
    'the member that joined had a part',
  )
  equal([...commitsAfterLoss(shim), ...commitsAfterLoss(late.shim)], [], 'commits of partitions that were handed over')
}

async function leave(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  const other = await context.shimmed()
  const into: Delivery<number>[] = []
  const handle = (): Promise<void> => context.pause(pick(context.random, 1, 4))
  const one = read(context, member(topic, group, sharing), { member: 'one', into, handle })
  const two = read(context, member(numbers(other.cloud, name), group, sharing), { member: 'two', into, handle })
  await allTakePart(context, group, one.consumer, two.consumer)
  await sendAll(topic, messages(300, 20))
  await context.eventually(() =>
    that(
      into.some((delivery) => delivery.member === 'two'),
      'the second member is at work',
    ),
  )
  await two.stop()
  await sendAll(topic, messages(100, 20, 300))
  await one.count(400)
  await one.stop()
  await allOnce(context, name, into, range(400), 'records across a leave')
  keysInOrder(context, into, 20, 400)
  equal(commitsAfterLoss(other.shim), [], 'commits of partitions that were handed over')
}

async function batchWindow(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  const handled: string[] = []
  const consumer = member(topic, group)
  const running = consumer.run((batch) => void handled.push(...batch.map((message) => String(message.value))), {
    batch: { max: 500, waitMs: 30_000 },
  })
  await sendAll(topic, messages(40, 80))
  await context.eventually(() =>
    that(consumer.stats().received >= 40, 'all records are in the hands of the first member'),
  )
  const before = handled.length
  const late = await context.connect()
  const two = read(context, member(numbers(late, name), group), {
    handle: ({ value }) => void handled.push(String(value)),
  })
  await allTakePart(context, group, consumer, two.consumer)
  await sendAll(topic, messages(40, 80, 40))
  await context.eventually(() =>
    that(
      // A queue that keeps order gives out nothing of what is being handed over until the window is over, or the member closes.
      consumer.stats().received > 40 || new Set(handled).size >= 40,
      "some of the records sent later are in somebody's hands",
    ),
  )
  await consumer.close()
  await running
  await context.eventually(() => equal(new Set(handled).size, 80, 'records handled in the end'))
  await context.settleWindow()
  await two.stop()
  equal(before, 0, 'records handled before the window was full or over')
  // Once more where a record before it in its partition was not done at the hand-over.
  each(handled, texts(range(80)), copies(context) + 1, 'records that waited for a batch')
}

async function resumeAfterClose(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(200, 10))
  const into: Delivery<number>[] = []
  const seen = (): number => new Set(into.map((one) => one.value)).size
  for (let round = 0; round < 60 && seen() < 200; round++) {
    const { cloud } = await context.shimmed()
    const target = Math.min(200, seen() + 30)
    const reading = read(context, member(numbers(cloud, name), group), {
      into,
      member: `m${round}`,
      handle: () => context.pause(1),
    })
    await context.eventually(() => that(seen() >= target, `${seen()} of ${target} records were handled`))
    await reading.stop()
    await cloud.close()
  }
  await allOnce(context, name, into, range(200), 'records over members one after another')
  keysInOrder(context, into, 10, 200)
}

async function crashMidBatch(context: CaseContext): Promise<void> {
  const { topic, name, crash, shim } = await bench(context)
  const group = context.name('g')
  const driver = await context.openDriver()
  const driverTopic = await driver.openTopic(name, context.signal)
  await sendAll(topic, messages(100, 10))
  const first = read(context, member(topic, group), {
    handle: ({ value }) => (value >= 40 ? new Promise(() => undefined) : undefined),
  })
  await first.count(50)
  await context.eventually(() => that(first.consumer.stats().acked >= 40, 'forty are acknowledged'))
  await crash()
  const done = new Set(first.deliveries.filter((one) => one.endedAtMs !== undefined).map((one) => one.value))
  const atRisk = uncommitted(shim, first.deliveries, driverTopic)
  const heir = await context.shimmed()
  const next = read(context, member(numbers(heir.cloud, name), group))
  await context.eventually(() => {
    const missing = range(100).filter((value) => !done.has(value) && !next.values().includes(value))
    equal(missing, [], 'records that were not done and did not come again')
  })
  await context.settleWindow()
  await next.stop()
  const repeats = next.values().filter((value) => done.has(value)).length
  const free = context.world.harness.ackedMayRepeat === true
  that(
    free || repeats <= atRisk * copies(context),
    `${repeats} records that were done came again; ${atRisk} were not committed at the kill`,
  )
  const all = [...first.deliveries.filter((one) => one.endedAtMs !== undefined), ...next.deliveries]
  each(
    texts(all.map((one) => one.value)),
    texts(range(100)),
    2 * copies(context),
    'records handled before and after the kill',
  )
  keysInOrder(context, all, 10, 100)
}
