import { portableBodyBytes, portableHeaders } from '@sluice/driver'
import type { OutgoingMessage } from '@sluice/core'
import type { Case } from '../case.ts'
import { bytesCodec } from '../codecs.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, firsts, refuses, sameBytes, that } from '../expect.ts'
import type { Delivery, Reading } from '../reading.ts'
import { bench, drain, messages, sendAll } from '../setup.ts'

/** What goes in comes out: bytes, keys, headers, times, ids. */
export const roundtripCases: readonly Case[] = [
  { name: 'roundtrip/bytes', title: 'bodies come back byte for byte, from empty to the portable maximum', run: bytes },
  {
    name: 'roundtrip/key',
    title:
      'keys come back as they were sent: none, unicode in any form, as long as they may be, and empty where granted',
    run: keys,
  },
  {
    name: 'roundtrip/headers',
    title: 'headers come back with their values untouched, up to the portable maximum',
    needs: (world) => (world.capabilities.headers ? true : 'the capability headers is false'),
    refusal: refuseHeaders,
    run: headers,
  },
  {
    name: 'roundtrip/no-headers',
    title: "a record without headers comes back without any of the caller's",
    run: noHeaders,
  },
  {
    name: 'roundtrip/time',
    title: "a record carries the broker's time of its arrival, whoever reads it and whenever",
    run: time,
  },
  {
    name: 'roundtrip/id',
    title: 'ids are unique, increase per producer, and a given id is kept',
    needs: (world) =>
      world.capabilities.ids ? true : { notRun: 'the capability ids is false: records do not keep theirs' },
    run: ids,
  },
]

async function bytes(context: CaseContext): Promise<void> {
  const { cloud } = await context.shimmed()
  const name = await context.createTopic(cloud)
  const topic = cloud.topic(name, { codec: bytesCodec })
  const bodies: Readonly<Record<string, Uint8Array>> = {
    empty: new Uint8Array(0),
    'every byte': Uint8Array.from({ length: 256 }, (_, index) => index),
    'invalid utf-8': Uint8Array.from([0xff, 0xfe, 0xc3, 0x28, 0xe2, 0x82, 0x00, 0xed, 0xa0, 0x80]),
    'looks like json': new TextEncoder().encode('{"a":1}'),
    '64 KiB and one': pattern(64 * 1024 + 1),
    'portable maximum': pattern(portableBodyBytes),
  }
  const names = Object.keys(bodies)
  await sendAll(
    topic,
    names.map((key) => ({ value: bodies[key] ?? new Uint8Array(0), key })),
  )
  const reading = await drain(context, topic, names.length)
  each(
    reading.deliveries.map(({ key }) => key ?? 'no key'),
    names,
    copies(context),
    'bodies',
  )
  for (const { key, value } of reading.deliveries)
    sameBytes(value, bodies[key ?? ''] ?? new Uint8Array(0), `the body "${key ?? ''}"`)
}

/** Bytes without a short period, so that a shifted or repeated part shows. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8) * 13) & 0xff)
}

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

/** No backend need keep longer keys; those that do are held to this much. */
const longKeyBytes = 4_096

async function keys(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const { capabilities, limits } = context.world
  const wanted: (string | undefined)[] = [
    capabilities.ids ? undefined : 'another',
    'plain',
    'schlüssel-鍵-🔑',
    'with spaces / and % signs?',
    // One letter, composed and decomposed: two keys.
    'caf\u00e9',
    'cafe\u0301',
    'x'.repeat(Math.min(256, limits.maxKeyBytes)),
    'y'.repeat(Math.min(longKeyBytes, limits.maxKeyBytes)),
  ]
  if (capabilities.emptyKey) wanted.push('')
  await sendAll(
    topic,
    wanted.map((key, value) => (key === undefined ? { value } : { value, key })),
  )
  const reading = await drain(context, topic, wanted.length)
  each(
    reading.values().map(String),
    wanted.map((_, value) => String(value)),
    copies(context),
    'keyed records',
  )
  for (const delivery of reading.deliveries)
    equal(delivery.key, wanted[delivery.value], `the key of record ${delivery.value}`)
  if (capabilities.emptyKey) return
  await refuses(
    () => topic.send({ value: 0, key: '' }),
    'unsupported',
    'an empty key where the capability emptyKey is false',
  )
}

const plainHeaders: Readonly<Record<string, string>> = {
  plain: 'value',
  'mixed-case': 'MiXeD CaSe Stays',
  unicode: 'Grüße, 世界 🌍',
  symbols: `quotes " ' \\ / ; , = & % ~`,
  empty: '',
  'number.like-1': '0042',
}

async function headers(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const { limits } = context.world
  const count = Math.min(portableHeaders.count, limits.maxHeaders)
  const longest = Math.min(portableHeaders.valueBytes, limits.maxHeaderValueBytes)
  const many = Object.fromEntries(Array.from({ length: count }, (_, at) => [`h-${at}`, `${at}:`.padEnd(longest, 'v')]))
  const backwards = Object.fromEntries(Object.entries(plainHeaders).toReversed())
  const sets = [plainHeaders, backwards, many]
  await sendAll(
    topic,
    sets.map((set, value): OutgoingMessage<number> => ({ value, headers: set })),
  )
  const reading = await drain(context, topic, sets.length)
  each(reading.values().map(String), ['0', '1', '2'], copies(context), 'records with headers')
  for (const delivery of reading.deliveries) {
    const expected = sets[delivery.value] ?? {}
    for (const [name, value] of Object.entries(expected))
      equal(delivery.headers[name], value, `header ${name} of record ${delivery.value}`)
    equal(strangers(delivery, expected), [], `headers of record ${delivery.value} that nobody sent`)
  }
}

/** Headers that are neither the caller's nor Sluice's own. */
function strangers(delivery: Delivery<unknown>, sent: Readonly<Record<string, string>>): readonly string[] {
  const own = new Set(['content-type', 'traceparent', 'tracestate'])
  return Object.keys(delivery.headers).filter((name) => !(name in sent) && !own.has(name))
}

async function refuseHeaders(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  await refuses(
    () => topic.send({ value: 1, headers: { a: 'b' } }),
    'unsupported',
    'headers where the capability is false',
  )
  equal(shim.callsOf('sendBatch').length, 0, 'requests to the backend')
}

async function noHeaders(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  await sendAll(topic, messages(3))
  const reading = await drain(context, topic, 3)
  each(reading.values().map(String), ['0', '1', '2'], copies(context), 'records without headers')
  for (const delivery of reading.deliveries) equal(strangers(delivery, {}), [], 'headers that nobody sent')
}

async function time(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const skew = context.world.tuning.clockSkewMs
  const before = Date.now()
  await sendAll(topic, messages(3))
  const after = Date.now()
  const reading = await drain(context, topic, 3)
  that(reading.deliveries.length >= 3, 'three records came')
  for (const delivery of reading.deliveries) {
    between(delivery.time.getTime(), before - skew, after + skew, `the time of record ${delivery.value}`)
  }
  const again = await drain(context, topic, 3)
  equal(timesOf(again), timesOf(reading), 'the times of the records, read later by another group')
}

/** By value; of copies the first. */
function timesOf(reading: Reading<number>): readonly (readonly [number, number])[] {
  return firsts(reading.deliveries, (one) => one.id)
    .map((one) => [one.value, one.time.getTime()] as const)
    .toSorted(([a], [b]) => a - b)
}

async function ids(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const given = `given-${context.name('id')}`
  const receipts = await sendAll(topic, [...messages(200), { value: 200, id: given }])
  const made = receipts.slice(0, 200).map((receipt) => receipt.id)
  equal(new Set(made).size, 200, 'different ids among 200')
  const wrong = made.find((id) => !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))
  equal(wrong, undefined, 'an id that is no UUIDv7')
  const step = made.findIndex((id, index) => index > 0 && id <= (made[index - 1] ?? ''))
  equal(step, -1, 'the first id that is not above the one before')
  equal(receipts[200]?.id, given, 'the id in the receipt of a record with an id of its own')
  const reading = await drain(context, topic, 201)
  each(reading.ids(), [...made, given], copies(context), 'ids received')
  for (const delivery of reading.deliveries) {
    equal(delivery.id, receipts[delivery.value]?.id, `the id received for record ${delivery.value}`)
  }
}
