import type { Case } from '../case.ts'
import { all, keyOrder } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, firsts, isError, rejects, sameOrder, that } from '../expect.ts'
import { ofKey } from '../reading.ts'
import { between as pick } from '../random.ts'
import { bench, drain, messages, range, sendAll, texts } from '../setup.ts'

/** What a receipt is worth, and what partial failure does to neighbours and to order. */
export const publishCases: readonly Case[] = [
  {
    name: 'publish/partial-failure-per-record',
    title: 'outcomes are told record by record, only what failed is sent again, and everything lands once',
    run: partialFailure,
  },
  {
    name: 'publish/one-bad-record-does-not-fail-neighbours',
    title: 'a record that is too large or badly formed is refused alone',
    run: oneBad,
  },
  {
    name: 'publish/order-per-key',
    title: 'records of a key are stored in the order of their sends',
    needs: keyOrder,
    run: orderPerKey,
  },
  {
    name: 'publish/order-across-partial-failure',
    title: 'a record that fails once does not let later ones of its key pass',
    needs: keyOrder,
    run: orderAcrossFailure,
  },
  {
    name: 'publish/order-across-concurrent-sends',
    title: 'fifty sends of one key at once land in call order, whatever each request takes',
    needs: keyOrder,
    run: orderAcrossConcurrent,
  },
  {
    name: 'publish/lane-fenced-after-final-failure',
    title: 'after a final failure later sends of the key are refused until it is resumed; other keys flow',
    needs: keyOrder,
    run: laneFenced,
  },
  {
    name: 'publish/ambiguous-timeout',
    title: 'a lost answer leaves one copy with deduplication and at most two without, and keeps the order',
    run: ambiguous,
  },
  {
    name: 'publish/order-continues-when-told',
    title: 'with onOrderedFailure continue a failed record leaves a gap and the rest of its key goes on',
    needs: (world) => all(keyOrder(world)),
    run: continueWhenTold,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

async function partialFailure(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer({ lingerMs: 20, retry: { baseMs: 1, maxMs: 5 } })
  const ids = range(10).map((index) => `${context.name('r')}-${index}`)
  const bad = new Set([ids[2], ids[5]])
  shim.failRecords((record) => bad.delete(record.id), 'throttled')
  const retried = await producer.sendAll(ids.map((id, value) => ({ value, key: `k${value}`, id })))
  const final = new Set(['final-2', 'final-5'])
  shim.failRecords((record) => final.has(record.id), 'permission-denied')
  const refused = await producer.sendAll(
    range(10).map((value) => ({ value: 100 + value, key: `f${value}`, id: `final-${value}` })),
  )
  await producer.close()
  equal(
    retried.map((result) => result.ok),
    range(10).map(() => true),
    'outcomes after retrying the two that failed',
  )
  sameOrder(
    retried.map((result) => (result.ok ? result.receipt.id : 'failed')),
    ids,
    'receipts, index by index',
  )
  equal(
    refused.map((result) => (result.ok ? 'stored' : result.error.code)),
    range(10).map((index) => (index === 2 || index === 5 ? 'permission-denied' : 'stored')),
    'outcomes where two failed for good',
  )
  const resent = resentThoughStored(
    shim.callsOf('sendBatch').map((call) => ({ records: call.records, outcomes: call.outcomes })),
  )
  equal(resent, [], 'records sent again although they were stored')
  const reading = await drain(context, topic, 18)
  const expected = [...range(10), ...range(10, 100).filter((value) => value !== 102 && value !== 105)]
  each(texts(reading.values()), texts(expected), copies(context), 'records after partial failures')
}

type Sent = {
  readonly records: readonly { readonly id: string }[]
  readonly outcomes: readonly { readonly ok: boolean }[]
}

function resentThoughStored(requests: readonly Sent[]): readonly string[] {
  const stored = new Set<string>()
  const resent: string[] = []
  for (const { records, outcomes } of requests) {
    for (const record of records) if (stored.has(record.id)) resent.push(record.id)
    records.forEach((record, index) => {
      if (outcomes[index]?.ok === true) stored.add(record.id)
    })
  }
  return resent
}

async function oneBad(context: CaseContext): Promise<void> {
  const { cloud, name, topic, shim } = await bench(context)
  const { limits } = context.world
  const large = 'x'.repeat(Math.min(limits.maxRecordBytes, 64 * 1024 * 1024) + 1)
  const loose = cloud.topic(name)
  const good = range(9)
  const bad = context.world.capabilities.headers
    ? [
        { value: 'header', headers: { 'No Such Name': 'x' } },
        { value: 'header', headers: { lines: 'one\ntwo' } },
      ]
    : [{ value: 'key', key: '\ud800' }]
  const results = await loose.sendAll([
    ...good.slice(0, 4).map((value) => ({ value })),
    { value: large },
    ...good.slice(4).map((value) => ({ value })),
    ...bad,
  ])
  const codes = results.map((result) => (result.ok ? 'stored' : result.error.code))
  equal(
    codes,
    [
      ...range(4).map(() => 'stored'),
      'too-large',
      ...range(5).map(() => 'stored'),
      ...bad.map(() => 'invalid-argument'),
    ],
    'outcomes',
  )
  const sizes = shim.callsOf('sendBatch').flatMap((call) => call.records.map((record) => record.body.length))
  that(
    sizes.every((size) => size < 100),
    'the record that is too large never reached the backend',
  )
  const reading = await drain(context, topic, 9)
  each(texts(reading.values()), texts(good), copies(context), 'good neighbours of bad records')
}

async function orderPerKey(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(400, 7))
  const reading = await drain(context, topic, 400)
  each(texts(reading.values()), texts(range(400)), copies(context), 'records of seven keys')
  for (const key of range(7)) {
    const seen = firsts(ofKey(reading.deliveries, `k${key}`), (delivery) => delivery.id).map(
      (delivery) => delivery.value,
    )
    sameOrder(
      seen,
      range(400).filter((value) => value % 7 === key),
      `order of key k${key}`,
    )
  }
}

async function orderAcrossFailure(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer({ lingerMs: 10, retry: { baseMs: 1, maxMs: 20 } })
  const failing = new Set(['3', '17', '18', '40'])
  shim.failRecords((record) => failing.delete(new TextDecoder().decode(record.body)), 'unavailable')
  await Promise.all(range(50).map((value) => producer.send({ value, key: 'one' })))
  await producer.close()
  equal(failing.size, 0, 'records that were to fail once and were not')
  const reading = await drain(context, topic, 50)
  sameOrder(
    firsts(reading.deliveries, (delivery) => delivery.id).map((delivery) => delivery.value),
    range(50),
    'order of the key',
  )
  each(texts(reading.values()), texts(range(50)), copies(context), 'records of the key')
}

async function orderAcrossConcurrent(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer({ maxBatchRecords: 5, maxInFlight: 8 })
  shim.delay('sendBatch', () => pick(context.random, 0, 12))
  const sends = range(50).flatMap((value) => [
    producer.send({ value, key: 'one' }),
    producer.send({ value: 1000 + value, key: `other-${value % 5}` }),
  ])
  await Promise.all(sends)
  await producer.close()
  const largest = Math.max(...shim.callsOf('sendBatch').map((call) => call.records.length))
  that(largest <= 5, `requests of at most 5 records were asked for, one had ${largest}`)
  const reading = await drain(context, topic, 100)
  const seen = firsts(ofKey(reading.deliveries, 'one'), (delivery) => delivery.id).map((delivery) => delivery.value)
  sameOrder(seen, range(50), 'order of the key')
}

async function laneFenced(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer({ lingerMs: 5 })
  const rule = shim.failRecords((record) => record.id === 'doomed', 'permission-denied')
  const before = producer.send({ value: 1, key: 'fenced' })
  const doomed = producer.send({ value: 2, key: 'fenced', id: 'doomed' })
  const behind = producer.send({ value: 3, key: 'fenced' })
  const beside = producer.send({ value: 4, key: 'free' })
  await Promise.allSettled([before, doomed, behind, beside])
  await rejects(doomed, 'permission-denied', 'the record that fails for good')
  await rejects(behind, 'fenced', 'a record of the same key that was queued behind it')
  await rejects(producer.send({ value: 5, key: 'fenced' }), 'fenced', 'a later send of the same key')
  await producer.send({ value: 6, key: 'free' })
  rule.remove()
  producer.resume('fenced')
  await producer.send({ value: 7, key: 'fenced' })
  await producer.close()
  const reading = await drain(context, topic, 4)
  const seen = (key: string): readonly number[] =>
    firsts(ofKey(reading.deliveries, key), (delivery) => delivery.id).map((delivery) => delivery.value)
  sameOrder(seen('fenced'), [1, 7], 'what landed of the fenced key')
  sameOrder(seen('free'), [4, 6], 'what landed of the other key')
}

async function continueWhenTold(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer({ lingerMs: 5, onOrderedFailure: 'continue' })
  shim.failRecords((record) => record.id === 'doomed', 'permission-denied')
  const results = await producer.sendAll([
    { value: 1, key: 'k' },
    { value: 2, key: 'k', id: 'doomed' },
    { value: 3, key: 'k' },
  ])
  await producer.send({ value: 4, key: 'k' })
  await producer.close()
  equal(
    results[1]?.ok === false ? results[1].error.code : 'stored',
    'permission-denied',
    'the outcome of the one that fails',
  )
  const reading = await drain(context, topic, 3)
  sameOrder(
    firsts(reading.deliveries, (delivery) => delivery.id).map((delivery) => delivery.value),
    [1, 3, 4],
    'the key with its gap',
  )
}

async function ambiguous(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const dedup = context.world.capabilities.dedup !== false
  const producer = topic.producer({ lingerMs: 10, retry: { baseMs: 1, maxMs: 20 } })
  const lost = shim.loseAnswer('sendBatch', { times: 1 })
  const results = await producer.sendAll(messages(20, 2))
  await producer.close()
  equal(
    results.map((result) => result.ok),
    range(20).map(() => true),
    'outcomes',
  )
  equal(lost.used, 1, 'answers lost')
  const reading = await drain(context, topic, 20)
  const most = dedup ? 1 : copies(context) + 1
  each(texts(reading.values()), texts(range(20)), most, 'records whose answer was lost')
  if (context.world.order === 'key') {
    for (const key of [0, 1]) {
      const seen = firsts(ofKey(reading.deliveries, `k${key}`), (delivery) => String(delivery.value)).map(
        (delivery) => delivery.value,
      )
      sameOrder(
        seen,
        range(20).filter((value) => value % 2 === key),
        `order of key k${key}`,
      )
    }
  }
  await finallyAmbiguous(context)
}

/** A send that gives up after a lost answer says that it may have happened. */
async function finallyAmbiguous(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer({ retry: { maxAttempts: 1 } })
  shim.loseAnswer('sendBatch')
  const error = await producer.send({ value: 1 }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  that(
    isError(error, 'timeout', 'a send whose only answer was lost').ambiguous,
    'the error says that the record may be stored',
  )
  shim.clear()
  await producer.close()
  const reading = await drain(context, topic, 1)
  between(reading.deliveries.length, 1, copies(context), 'copies of the record whose answer was lost')
}
