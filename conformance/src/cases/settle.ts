import type { Case } from '../case.ts'
import { keyOrder } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, firsts, sameOrder, that } from '../expect.ts'
import { ofKey, read } from '../reading.ts'
import { bench, drain, member, messages, numbers, range, sendAll, texts } from '../setup.ts'

/** What each of the four verbs does, and what is committed. */
export const settleCases: readonly Case[] = [
  {
    name: 'settle/out-of-order-ack-watermark',
    title: 'with 1, 2, 4 and 5 acknowledged and the process killed, the successor starts at 3',
    run: watermark,
  },
  {
    name: 'settle/failed-is-never-passed',
    title: 'a record that only ever failed comes back after a restart, whatever else was done',
    run: failedNeverPassed,
  },
  {
    name: 'settle/retry-delay-honoured',
    title: 'a retry comes after its delay, and other keys flow meanwhile',
    run: retryDelay,
  },
  {
    name: 'settle/retry-keeps-key-order',
    title: 'while a record is retried, later records of its key wait',
    needs: keyOrder,
    run: retryKeepsOrder,
  },
  { name: 'settle/attempt-counts', title: 'attempts are counted from one, without gaps', run: attemptCounts },
  { name: 'settle/skip', title: 'a skipped record is done and does not come again', run: skip },
  { name: 'settle/expired', title: 'a record past its expiry is not handled, and counted', run: expired },
  { name: 'settle/double-ack', title: 'the first verb counts; later ones do nothing', run: doubleAck },
  {
    name: 'settle/ack-after-close',
    title: 'acknowledging after close is harmless, and the record comes again',
    run: ackAfterClose,
  },
  {
    name: 'settle/undone-comes-again',
    title: 'a record whose handler had not finished at a kill comes again',
    run: undoneComesAgain,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

/** One partition, where the topic has partitions. */
function onePartition(context: CaseContext): { readonly partitions?: number } {
  return context.world.order === 'key' ? { partitions: 1 } : {}
}

async function watermark(context: CaseContext): Promise<void> {
  const { topic, name, crash, shim } = await bench(context, onePartition(context))
  const group = context.name('g')
  for (const value of range(5, 1)) await topic.send({ value, key: `k${value}` })
  const reading = read(context, member(topic, group), {
    handle: ({ value }) => (value === 3 ? new Promise(() => undefined) : undefined),
  })
  await reading.count(5)
  await context.eventually(() => {
    equal(reading.consumer.stats().acked >= 4, true, 'whether 1, 2, 4 and 5 are acknowledged')
    that(
      shim.callsOf({ operation: ['commit', 'settle'], when: (call) => call.endedAtMs !== undefined }).length > 0,
      'progress was stored',
    )
  })
  await context.settleWindow()
  await crash()
  const heir = await context.shimmed()
  const next = read(context, member(numbers(heir.cloud, name), group))
  const again = context.world.shape === 'log' || context.world.harness.ackedMayRepeat === true
  const expected = again ? [3, 4, 5] : [3]
  await next.count(expected.length)
  await next.stop()
  sameOrder(
    firsts(next.deliveries, (one) => one.id).map((one) => one.value),
    expected,
    'what the successor is given',
  )
  each(texts(next.values()), texts(expected), copies(context), 'what the successor is given')
}

async function failedNeverPassed(context: CaseContext): Promise<void> {
  const { topic, name, crash } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(40, 8))
  const consumer = member(topic, group, { deadLetter: false, retry: { baseMs: 20, maxMs: 50 } })
  const reading = read(context, consumer, {
    handle: ({ value }) => {
      if (value === 5) throw new Error('this one never works')
    },
  })
  const done = (): number => new Set(reading.values().filter((value) => value % 8 !== 5)).size
  await context.eventually(() => {
    equal(done(), 35, 'records of other keys handled')
    that(reading.values().filter((value) => value === 5).length >= 2, 'the failing record was tried again')
  })
  await context.settleWindow()
  await crash()
  const heir = await context.shimmed()
  const next = read(context, member(numbers(heir.cloud, name), group))
  await context.eventually(() => {
    const undone = context.world.order === 'key' ? [5, 13, 21, 29, 37] : [5]
    const missing = undone.filter((value) => !next.values().includes(value))
    equal(missing, [], 'records of the failing key that the successor was not given')
  })
  await context.settleWindow()
  await next.stop()
  if (context.world.order === 'none') return
  const seen = firsts(ofKey(next.deliveries, 'k5'), (one) => one.id).map((one) => one.value)
  sameOrder(seen, [5, 13, 21, 29, 37], 'the failing key at the successor')
}

async function retryDelay(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(20, 10))
  const delayMs = 400
  const reading = read(context, member(topic, context.name('g')), {
    handle: (message) => (message.value === 3 && message.attempt === 1 ? message.retry({ delayMs }) : undefined),
  })
  await reading.count(21)
  await reading.stop()
  const tries = reading.deliveries.filter((one) => one.value === 3)
  equal(tries.length >= 2, true, 'whether the record came again')
  const waited = (tries[1]?.startedAtMs ?? 0) - (tries[0]?.endedAtMs ?? 0)
  between(waited, delayMs - 20, delayMs + 1_500, `milliseconds until the retry that was asked for after ${delayMs}`)
  const others = reading.deliveries.filter((one) => one.key !== 'k3')
  const late = others.filter((one) => one.startedAtMs > (tries[0]?.startedAtMs ?? 0) + delayMs / 2)
  equal(late.length, 0, 'records of other keys that waited for the retry')
  each(
    texts(others.map((one) => one.value)),
    texts(range(20).filter((value) => value % 10 !== 3)),
    copies(context),
    'other keys',
  )
}

async function retryKeepsOrder(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(30, 3))
  const tries = new Map<number, number>()
  const finished: number[] = []
  const reading = read(context, member(topic, context.name('g')), {
    handle: ({ value }) => {
      const tried = (tries.get(value) ?? 0) + 1
      tries.set(value, tried)
      if ((value === 1 || value === 16) && tried < 3) throw new Error('not yet')
      finished.push(value)
    },
  })
  await reading.count(34)
  await reading.stop()
  for (const key of range(3)) {
    const of = finished.filter((value) => value % 3 === key)
    sameOrder(
      firsts(of, String),
      range(30).filter((value) => value % 3 === key),
      `order in which key k${key} was finished`,
    )
  }
  const order = ofKey(reading.deliveries, 'k1').map((one) => one.value)
  if (copies(context) === 1)
    sameOrder(order, [1, 1, 1, 4, 7, 10, 13, 16, 16, 16, 19, 22, 25, 28], 'deliveries of the key with retries')
}

async function attemptCounts(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await topic.send({ value: 1, key: 'k' })
  const reading = read(context, member(topic, context.name('g')), {
    handle: ({ attempt }) => {
      if (attempt < 4) throw new Error('not yet')
    },
  })
  await reading.count(4)
  await reading.stop()
  const first = reading.deliveries[0]?.id
  const attempts = reading.deliveries.filter((one) => one.id === first).map((one) => one.attempt)
  sameOrder(attempts.slice(0, 4), [1, 2, 3, 4], 'attempts of one record')
  between(attempts.length, 4, 4 * copies(context), 'deliveries of a record that works at the fourth try')
}

async function skip(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(10, 5))
  const settled: string[] = []
  const onSettled = (message: { readonly value: number }, outcome: string): void =>
    void settled.push(`${message.value} ${outcome}`)
  const reading = read(context, member(topic, group, { onSettled }), {
    handle: (message) => (message.value === 4 ? message.skip() : undefined),
  })
  await reading.count(10)
  const { skipped, acked } = reading.consumer.stats()
  await reading.stop()
  between(skipped, 1, copies(context), 'records counted as skipped')
  between(acked, 9, 9 * copies(context), 'records counted as acknowledged')
  that(
    settled.includes('4 skipped') && settled.includes('5 acked'),
    `onSettled was told how each ended: ${settled.join(', ')}`,
  )
  const again = read(context, member(numbers(cloud, name), group))
  await context.settleWindow()
  await again.stop()
  equal(again.values(), [], 'what the group is given after everything was acknowledged or skipped')
}

async function expired(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const now = Date.now()
  await sendAll(topic, [
    { value: 1, key: 'a', id: 'too-late', expiresAt: new Date(now - 1_000) },
    { value: 2, key: 'a', expiresAt: new Date(now + 60_000) },
    { value: 3, key: 'b' },
  ])
  const outcomes: string[] = []
  const reading = read(
    context,
    member(topic, context.name('g'), {
      onSettled: (message, outcome) => void outcomes.push(`${message.id} ${outcome}`),
    }),
  )
  await reading.count(2)
  await context.eventually(() => that(reading.consumer.stats().expired >= 1, 'the expired record was counted'))
  const { expired: count } = reading.consumer.stats()
  await reading.stop()
  each(texts(reading.values()), ['2', '3'], copies(context), 'records handled')
  between(count, 1, copies(context), 'records counted as expired')
  that(outcomes.includes('too-late expired'), `onSettled was told of the expiry: ${outcomes.join(', ')}`)
}

async function doubleAck(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(4, 4))
  const reading = read(context, member(topic, group), {
    handle: (message) => {
      message.ack()
      if (message.value === 1) message.ack()
      if (message.value === 2) message.retry()
      if (message.value === 3) throw new Error('after it was acknowledged')
    },
  })
  await reading.count(4)
  const stats = reading.consumer.stats()
  await reading.stop()
  each(texts(reading.values()), texts(range(4)), copies(context), 'records acknowledged first and something else later')
  between(stats.acked, 4, 4 * copies(context), 'acknowledgements counted')
  equal(stats.retried, 0, 'retries counted')
  const again = read(context, member(numbers(cloud, name), group))
  await context.settleWindow()
  await again.stop()
  equal(again.values(), [], 'what the group is given again')
}

async function ackAfterClose(context: CaseContext): Promise<void> {
  const { topic, name, cloud } = await bench(context)
  const group = context.name('g')
  await topic.send({ value: 1, key: 'k' })
  let ack = (): void => undefined
  const consumer = member(topic, group, { revokeTimeoutMs: 50 })
  const reading = read(context, consumer, {
    handle: (message) => {
      ack = () => message.ack()
      return new Promise(() => undefined)
    },
  })
  await context.eventually(() => equal(reading.deliveries.length, 1, 'deliveries'))
  await consumer.close({ timeoutMs: 100 }).catch(() => undefined)
  ack()
  ack()
  await context.settleWindow()
  const heir = await drainGroup(context, numbers(cloud, name), group, 1)
  each(texts(heir), ['1'], copies(context), 'what the group is given after an acknowledgement that came too late')
}

async function drainGroup(
  context: CaseContext,
  topic: Parameters<typeof member<number>>[0],
  group: string,
  count: number,
): Promise<readonly number[]> {
  const reading = read(context, member(topic, group))
  await reading.count(count)
  await reading.stop()
  return reading.values()
}

async function undoneComesAgain(context: CaseContext): Promise<void> {
  const { topic, name, crash } = await bench(context)
  const group = context.name('g')
  await sendAll(topic, messages(12, 12))
  const reading = read(context, member(topic, group), { handle: () => new Promise(() => undefined) })
  await reading.count(12)
  await crash()
  const heir = await context.shimmed()
  const seen = await drainGroup(context, numbers(heir.cloud, name), group, 12)
  each(texts(seen), texts(range(12)), copies(context), 'records whose handlers had not finished')
  const rest = await drain(context, numbers(heir.cloud, name), 12)
  each(texts(rest.values()), texts(range(12)), copies(context), 'records of another group')
}
