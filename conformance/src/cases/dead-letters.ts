import type { DeadLetter } from '@sluice/core'
import type { Case } from '../case.ts'
import { bytesCodec, poisonCodec } from '../codecs.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, firsts, isError, sameBytes, sameOrder, that } from '../expect.ts'
import { ofKey, read } from '../reading.ts'
import { bench, member, messages, numbers, range, sendAll, texts } from '../setup.ts'
import type { Bench } from '../setup.ts'
import { longestBody } from './sizes.ts'

/** What happens to records that cannot be handled. */
export const deadLetterCases: readonly Case[] = [
  {
    name: 'settle/attempts-then-dead-letter',
    title:
      'after the last attempt a record is a dead letter with its bytes, headers, origin and error, and its key goes on',
    run: attemptsThenDeadLetter,
  },
  {
    name: 'settle/dead-letter-by-hand',
    title: 'the verb deadLetter files the record at once, with the reason given',
    run: byHand,
  },
  {
    name: 'settle/dead-letter-fails-so-not-acked',
    title: 'while the dead letter cannot be stored the record is not acknowledged, and nothing is lost by a kill',
    run: deadLetterFails,
  },
  {
    name: 'settle/poison-bytes',
    title: 'bytes that cannot be decoded are dead-lettered, skipped or end the consumer, by policy',
    run: poison,
  },
  {
    name: 'settle/dead-letter-at-size-limit',
    title: 'a record so large that nothing can be added to it is dead-lettered with its bytes, and its key goes on',
    run: atSizeLimit,
  },
]

/** How often a backend may hand out what was stored once. */
export function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

/** The dead letters in a topic. */
export async function letters(bench: Pick<Bench, 'cloud'>, topic: string): Promise<readonly DeadLetter[]> {
  const found: DeadLetter[] = []
  for await (const letter of bench.cloud.admin.deadLetters(topic)) found.push(letter)
  return found
}

async function attemptsThenDeadLetter(context: CaseContext): Promise<void> {
  const made = await bench(context)
  const { topic, name } = made
  const group = context.name('g')
  const headers: Record<string, string> = context.world.capabilities.headers
    ? { tenant: 'Ünïcode', 'x-case': 'MiXeD' }
    : {}
  await sendAll(
    topic,
    messages(12, 3).map((message) => ({ ...message, headers })),
  )
  const consumer = member(topic, group, { retry: { maxAttempts: 3, baseMs: 5, maxMs: 20 } })
  const reading = read(context, consumer, {
    handle: ({ value }) => {
      if (value === 4) throw Object.assign(new Error('the parcel has no address'), { code: 'E_NO_ADDRESS' })
    },
  })
  await reading.count(14)
  await context.eventually(() => that(consumer.stats().deadLettered >= 1, 'a dead letter was counted'))
  const { deadLettered } = consumer.stats()
  await reading.stop()
  between(deadLettered, 1, copies(context), 'dead letters counted')
  const of4 = reading.deliveries.filter((one) => one.value === 4)
  if (copies(context) === 1)
    sameOrder(
      of4.map((one) => one.attempt),
      [1, 2, 3],
      'attempts of the record that never works',
    )
  if (context.world.order === 'key') {
    const order = firsts(ofKey(reading.deliveries, 'k1'), (one) => one.id).map((one) => one.value)
    sameOrder(order, [1, 4, 7, 10], 'the key of the dead letter')
  }
  const found = await letters(made, `${name}.dead-letters`)
  between(found.length, 1, copies(context), 'dead letters stored')
  const [letter] = found
  that(letter !== undefined, 'a dead letter is stored')
  equal(new TextDecoder().decode(letter.body), '4', 'the bytes of the dead letter')
  equal(letter.key, 'k1', 'its key')
  equal(letter.id, of4[0]?.id, 'its id')
  for (const [header, value] of Object.entries(headers)) equal(letter.headers[header], value, `its header ${header}`)
  equal(
    Object.keys(letter.headers).filter((header) => header.startsWith('dlq-')),
    [],
    "headers of Sluice's own among the original ones",
  )
  equal(letter.origin.topic, name, 'the topic it came from')
  equal(letter.origin.group, group, 'the group that gave up on it')
  equal(letter.origin.partition, of4[0]?.partition, 'the partition it came from')
  equal(letter.origin.position, of4[0]?.position, 'the position it came from')
  equal(letter.attempts, 3, 'its attempts')
  that(letter.reason.includes('the parcel has no address'), `the reason says what went wrong: ${letter.reason}`)
  between(
    letter.time.getTime(),
    Date.now() - 30_000,
    Date.now() + context.world.tuning.clockSkewMs,
    'the time of the dead letter',
  )
}

async function byHand(context: CaseContext): Promise<void> {
  const made = await bench(context)
  const { topic, cloud } = made
  const target = context.name('letters')
  await sendAll(topic, messages(4, 4))
  const reading = read(context, member(topic, context.name('g'), { deadLetter: { topic: target } }), {
    handle: (message) => (message.value === 2 ? message.deadLetter('not ours') : undefined),
  })
  await reading.count(4)
  await context.eventually(() => that(reading.consumer.stats().deadLettered >= 1, 'a dead letter was counted'))
  await reading.stop()
  each(texts(reading.values()), texts(range(4)), copies(context), 'deliveries')
  const found = await letters({ cloud }, target)
  between(found.length, 1, copies(context), 'dead letters in the topic that was chosen')
  equal(found[0]?.reason, 'not ours', 'the reason given')
  equal(found[0]?.attempts, 1, 'its attempts')
}

async function atSizeLimit(context: CaseContext): Promise<void> {
  const made = await bench(context)
  const { cloud, name } = made
  const topic = cloud.topic(name, { codec: bytesCodec })
  const opened = await (await context.openDriver()).openTopic(name, context.signal)
  const length = longestBody((record) => opened.measure(record), opened.limits.maxRecordBytes, { key: 'k' })
  const largest = new Uint8Array(length).map((_, index) => index % 251)
  await topic.send({ key: 'k', value: largest })
  await topic.send({ key: 'k', value: new Uint8Array([1]) })
  const reading = read(context, member(topic, context.name('g')), {
    handle: (message) => (message.value.length === length ? message.deadLetter('too heavy') : undefined),
  })
  await reading.count(2)
  await context.eventually(() => that(reading.consumer.stats().acked >= 1, 'the key went on'))
  await reading.stop()
  const found = await letters({ cloud }, `${name}.dead-letters`)
  between(found.length, 1, copies(context), 'dead letters')
  const [letter] = found
  that(letter !== undefined, 'a dead letter is stored')
  sameBytes(letter.body, largest, 'its body')
  equal([letter.key, letter.reason, letter.origin.topic], ['k', 'too heavy', name], 'its key, reason and origin')
  await cloud.admin.sendBack(`${name}.dead-letters`)
  equal((await letters({ cloud }, `${name}.dead-letters`)).length, 0, 'dead letters left after sending back')
}

async function deadLetterFails(context: CaseContext): Promise<void> {
  const made = await bench(context)
  const { topic, name, shim, crash } = made
  const group = context.name('g')
  shim.fail({ operation: 'sendBatch', topic: '*.dead-letters' }, 'unavailable')
  shim.fail({ operation: 'transact', when: (call) => call.records.length > 0 }, 'unavailable')
  await sendAll(topic, messages(6, 6))
  const consumer = member(topic, group, { retry: { maxAttempts: 1, baseMs: 5 } })
  const reading = read(context, consumer, {
    handle: ({ value }) => {
      if (value === 2) throw new Error('never works')
    },
  })
  await context.eventually(() => {
    equal(new Set(reading.values()).size, 6, 'records handled')
    that(
      shim.callsOf({ operation: ['sendBatch', 'transact'], when: (call) => call.error !== undefined }).length > 0,
      'a dead letter was tried',
    )
  })
  await context.settleWindow()
  equal(consumer.stats().deadLettered, 0, 'dead letters counted while none could be stored')
  await crash()
  const heir = await context.shimmed()
  const next = read(context, member(numbers(heir.cloud, name), group, { retry: { maxAttempts: 1, baseMs: 5 } }), {
    handle: ({ value }) => {
      if (value === 2) throw new Error('never works')
    },
  })
  await context.eventually(() => {
    that(next.values().includes(2), 'the record came again')
    that(next.consumer.stats().deadLettered >= 1, 'it was dead-lettered this time')
  })
  await next.stop()
  const found = await letters(heir, `${name}.dead-letters`)
  each(
    found.map((letter) => new TextDecoder().decode(letter.body)),
    ['2'],
    copies(context),
    'dead letters stored',
  )
}

const broken = Uint8Array.from([0x7b, 0x22, 0xff, 0xfe, 0x00, 0x5d])

async function withPoison(context: CaseContext): Promise<Bench> {
  const made = await bench(context)
  const loose = made.cloud.topic(made.name, { codec: poisonCodec })
  await made.topic.send({ value: 1, key: 'a' })
  await loose.send({ value: broken, key: 'a', id: 'poison' })
  await made.topic.send({ value: 2, key: 'a' })
  await made.topic.send({ value: 3, key: 'b' })
  return made
}

async function poison(context: CaseContext): Promise<void> {
  const made = await withPoison(context)
  const { topic, name } = made
  const filing = read(context, member(topic, context.name('g')))
  await filing.count(3)
  await context.eventually(() => that(filing.consumer.stats().deadLettered >= 1, 'the poison was dead-lettered'))
  await filing.stop()
  neighbours(context, filing.values(), 'with the policy dead-letter')
  const found = await letters(made, `${name}.dead-letters`)
  between(found.length, 1, copies(context), 'dead letters of the poison')
  sameBytes(found[0]?.body ?? new Uint8Array(0), broken, 'the bytes of the poison')

  const skipping = read(context, member(topic, context.name('g'), { onPoison: 'skip' }))
  await skipping.count(3)
  await context.eventually(() => that(skipping.consumer.stats().skipped >= 1, 'the poison was counted as skipped'))
  await skipping.stop()
  neighbours(context, skipping.values(), 'with the policy skip')

  const group = context.name('g')
  const stopping = read(context, member(topic, group, { onPoison: 'stop' }))
  await context.eventually(() => that(stopping.ended(), 'the consumer ended at the poison'))
  isError(stopping.error(), 'corrupt', 'what ended the consumer with the policy stop')
  that(
    !stopping.values().includes(2) || context.world.order === 'none',
    'nothing of the key was handled beyond the poison',
  )
  await stopping.consumer.close()
  const after = read(context, member(topic, group, { onPoison: 'skip' }))
  await context.eventually(() => {
    that(after.values().includes(2) || stopping.values().includes(2), 'the record behind the poison came')
    that(after.consumer.stats().skipped >= 1, 'the poison came again after the stop')
  })
  await after.stop()
}

function neighbours(context: CaseContext, values: readonly number[], how: string): void {
  each(texts(values), ['1', '2', '3'], copies(context), `neighbours of the poison ${how}`)
  if (context.world.order === 'key')
    sameOrder(
      firsts(
        values.filter((value) => value < 3),
        String,
      ),
      [1, 2],
      `the poison's key ${how}`,
    )
}
