import type { Case } from '../case.ts'
import { all, keyOrder, logShape } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, firsts, sameOrder, that } from '../expect.ts'
import { between as pick } from '../random.ts'
import { ofKey, read } from '../reading.ts'
import { bench, drain, member, messages, range, sendAll, texts } from '../setup.ts'

/** What a handler is given, and what runs at the same time. */
export const consumeCases: readonly Case[] = [
  {
    name: 'consume/every-record-once-when-nothing-fails',
    title: 'each record is handled, and handled once',
    run: everyRecordOnce,
  },
  {
    name: 'consume/order-per-key',
    title: 'first deliveries of a key come in the order of its sends',
    needs: keyOrder,
    run: orderPerKey,
  },
  { name: 'consume/key-exclusive', title: 'never two handlers of one key at once', needs: keyOrder, run: keyExclusive },
  {
    name: 'consume/keys-concurrent',
    title: "a stuck key does not stop others, and a stuck partition does not stop others' commits",
    needs: keyOrder,
    run: keysConcurrent,
  },
  {
    name: 'consume/parked-key-comes-back',
    title:
      'a key that is stuck with more records than may be read ahead lets others pass, and gets all of its own later',
    needs: (world) => all(keyOrder(world), logShape(world)),
    run: parkedKey,
  },
  {
    name: 'consume/empty-topic-waits',
    title: 'a consumer of an empty topic waits without spinning, and sees the first record',
    run: emptyTopic,
  },
  {
    name: 'consume/iterator-and-run-agree',
    title: 'the loop and the handler are given the same records in the same order',
    run: iteratorAgrees,
  },
  {
    name: 'consume/batches',
    title: 'batches stay under their size, hold each record once, and settle what the handler leaves',
    run: batches,
  },
  {
    name: 'consume/read-leaves-no-trace',
    title: 'reading without a group ends at the end and leaves no group behind',
    run: readLeavesNoTrace,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

async function everyRecordOnce(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  await sendAll(topic, messages(300, 11))
  const reading = read(context, member(topic, context.name('g')))
  await reading.count(300)
  await sendAll(topic, messages(300, 11, 300))
  await reading.count(600)
  const stats = reading.consumer.stats()
  await reading.stop()
  each(texts(reading.values()), texts(range(600)), copies(context), 'records handled')
  equal(reading.deliveries.filter((one) => one.attempt !== 1).length, 0, 'deliveries that were not a first attempt')
  between(stats.acked, 600, 600 * copies(context), 'records that the consumer says it acknowledged')
  const settled = shim.callsOf({ operation: ['commit', 'settle'] }).length
  that(settled >= 1, 'progress was stored')
}

async function orderPerKey(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(500, 5))
  const handle = (): Promise<void> => context.pause(pick(context.random, 0, 2))
  const reading = await drain(context, topic, 500, { handle, concurrency: 8 })
  each(texts(reading.values()), texts(range(500)), copies(context), 'records of five keys')
  for (const key of range(5)) {
    const seen = firsts(ofKey(reading.deliveries, `k${key}`), (delivery) => delivery.id).map(
      (delivery) => delivery.value,
    )
    sameOrder(
      seen,
      range(500).filter((value) => value % 5 === key),
      `first deliveries of key k${key}`,
    )
  }
}

async function keyExclusive(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(200, 4))
  const running = new Map<string, number>()
  let most = 0
  let mostKeys = 0
  const reading = await drain(context, topic, 200, {
    concurrency: 16,
    handle: async ({ key = '' }) => {
      running.set(key, (running.get(key) ?? 0) + 1)
      most = Math.max(most, running.get(key) ?? 0)
      mostKeys = Math.max(mostKeys, [...running.values()].filter((count) => count > 0).length)
      await context.pause(pick(context.random, 0, 6))
      running.set(key, (running.get(key) ?? 0) - 1)
    },
  })
  each(texts(reading.values()), texts(range(200)), copies(context), 'records of four keys')
  equal(most, 1, 'handlers of one key at once')
  that(mostKeys > 1, `handlers of different keys run at once; at most ${mostKeys} did`)
}

async function keysConcurrent(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context)
  const group = context.name('g')
  let release = (): void => undefined
  const stuck = new Promise<void>((resolve) => (release = resolve))
  await topic.send({ value: -1, key: 'stuck' })
  await sendAll(topic, messages(120, 12))
  const reading = read(context, member(topic, group), { handle: ({ key }) => (key === 'stuck' ? stuck : undefined) })
  try {
    await reading.count(121)
    const places: Place[] = []
    for await (const { partition, position, key } of topic.read()) places.push({ partition, position, key })
    if (context.world.shape === 'log') await othersCommitted(context, places, () => cloud.admin.lag(name, group))
  } finally {
    release()
  }
  await reading.stop()
  each(texts(reading.values()), texts([-1, ...range(120)]), copies(context), 'records beside a stuck key')
}

interface Place {
  readonly partition: string
  readonly position: string | undefined
  readonly key: string | undefined
}

/** Every partition but the stuck one is committed to its end; the stuck one not beyond the stuck record. */
async function othersCommitted(
  context: CaseContext,
  places: readonly Place[],
  lag: () => Promise<readonly { readonly partition: string; readonly committed: string | undefined }[]>,
): Promise<void> {
  const stuckIn = places.find((place) => place.key === 'stuck')?.partition
  const ends = new Map(places.map((place) => [place.partition, place.position]))
  await context.eventually(async () => {
    const committed = new Map((await lag()).map((one) => [one.partition, one.committed]))
    for (const [partition, end] of ends) {
      if (partition !== stuckIn)
        equal(committed.get(partition), end, `the commit of partition ${partition}, where nothing is stuck`)
    }
  })
  const committed = (await lag()).find((one) => one.partition === stuckIn)?.committed
  equal(committed, undefined, 'the commit of the partition whose first record is stuck')
}

async function parkedKey(context: CaseContext): Promise<void> {
  const { topic } = await bench(context, { partitions: 1 })
  const group = context.name('g')
  await sendAll(
    topic,
    range(60).map((value) => ({ value, key: 'stuck' })),
  )
  await sendAll(topic, messages(60, 6, 60))
  const gate = Promise.withResolvers<void>()
  const reading = read(context, member(topic, group, { maxBufferedRecords: 20 }), {
    handle: ({ key }) => (key === 'stuck' ? gate.promise : undefined),
  })
  context.defer(async () => gate.resolve())
  await context.eventually(() => {
    const missing = range(60, 60).filter((value) => !reading.values().includes(value))
    equal(missing, [], 'records of other keys behind a stuck one')
  })
  that(ofKey(reading.deliveries, 'stuck').length <= copies(context), 'the stuck key is given no other record')
  gate.resolve()
  await reading.count(120)
  await reading.stop()
  each(texts(reading.values()), texts(range(120)), copies(context), 'records beside a key that was stuck, and its own')
  const seen = firsts(ofKey(reading.deliveries, 'stuck'), (delivery) => delivery.id).map((delivery) => delivery.value)
  sameOrder(seen, range(60), 'the key that was stuck')
  const heir = read(context, member(topic, group))
  await context.settleWindow()
  await heir.stop()
  equal(heir.values(), [], 'records that were done and not committed')
}

async function emptyTopic(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const reading = read(context, member(topic, context.name('g')))
  await context.eventually(() => that(shim.callsOf({ operation: ['poll', 'pull'] }).length > 0, 'the source was asked'))
  const before = shim.callsOf({ operation: ['poll', 'pull'] }).length
  await context.pause(500)
  const asked = shim.callsOf({ operation: ['poll', 'pull'] }).length - before
  equal(reading.deliveries.length, 0, 'deliveries from an empty topic')
  that(asked <= 60, `an empty topic was asked ${asked} times in half a second`)
  await topic.send({ value: 7, key: 'k' })
  await reading.count(1)
  await reading.stop()
  each(texts(reading.values()), ['7'], copies(context), 'the first record of a topic that was empty')
}

async function iteratorAgrees(context: CaseContext): Promise<void> {
  const { topic } = await bench(context, context.world.order === 'key' ? { partitions: 1 } : {})
  await sendAll(topic, messages(60, 3))
  const byRun = await drain(context, topic, 60, { concurrency: 1 })
  const consumer = member(topic, context.name('g'))
  const byLoop: { readonly value: number; readonly key: string | undefined }[] = []
  for await (const message of consumer) {
    byLoop.push({ value: message.value, key: message.key })
    message.ack()
    if (new Set(byLoop.map((one) => one.value)).size === 60) break
  }
  each(texts(byLoop.map((one) => one.value)), texts(range(60)), copies(context), 'records of the loop')
  each(texts(byRun.values()), texts(range(60)), copies(context), 'records of the handler')
  if (context.world.order === 'none') return
  for (const key of ['k0', 'k1', 'k2']) {
    const looped = firsts(
      byLoop.filter((one) => one.key === key),
      (one) => String(one.value),
    ).map((one) => one.value)
    const ran = firsts(ofKey(byRun.deliveries, key), (one) => one.id).map((one) => one.value)
    sameOrder(looped, ran, `order of key ${key} in the loop, compared with the handler`)
  }
}

async function batches(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(100, 10))
  const seen: number[] = []
  const sizes: number[] = []
  let failedOnce = false
  const consumer = member(topic, context.name('g'))
  const running = consumer.run(
    (batch) => {
      sizes.push(batch.length)
      seen.push(...batch.map((message) => message.value))
      if (failedOnce) return
      failedOnce = true
      for (const message of batch.slice(1)) message.ack()
      throw new Error('the first of this batch is not done')
    },
    { batch: { max: 8, waitMs: 5 } },
  )
  await context.eventually(() =>
    that(consumer.stats().acked >= 100, `${consumer.stats().acked} of 100 are acknowledged`),
  )
  await context.settleWindow()
  await consumer.close()
  await running
  that(Math.max(...sizes) <= 8, `batches of at most 8 were asked for, one had ${Math.max(...sizes)}`)
  that(Math.max(...sizes) > 1, 'batches were formed')
  each(texts(seen), texts(range(100)), copies(context) + 1, 'records in batches')
  const repeats = seen.length - new Set(seen).size
  between(repeats, 1, 1 + 100 * (copies(context) - 1), 'records that came twice: only the one that was not done')
}

async function readLeavesNoTrace(context: CaseContext): Promise<void> {
  const { topic, name, cloud, shim } = await bench(context)
  await sendAll(topic, messages(50, 5))
  const seen: number[] = []
  for await (const message of topic.read()) seen.push(message.value)
  each(texts(seen), texts(range(50)), copies(context), 'records read without a group')
  equal(await cloud.admin.listGroups(name), [], 'groups after reading without one')
  equal(shim.callsOf({ operation: ['commit'] }).length, 0, 'commits of a reader without a group')
}
