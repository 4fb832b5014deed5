import type { OutgoingRecord } from '@sluice/driver'
import type { Case } from '../case.ts'
import { bytesCodec } from '../codecs.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, isError, refuses, that } from '../expect.ts'
import { bench, drain, range, texts } from '../setup.ts'
import { longestBody, sample } from './sizes.ts'

/** Limits are data, they are true, and they are held before any I/O. */
export const limitsCases: readonly Case[] = [
  {
    name: 'limits/size-boundary',
    title:
      'a record of the limit passes; one byte more is too-large before any I/O, counting key, headers and envelope',
    run: sizeBoundary,
  },
  { name: 'limits/batch-boundary', title: 'no request is over the limits of records and bytes', run: batchBoundary },
  {
    name: 'limits/headers',
    title: 'keys, header counts, names and values over the limit are refused before any I/O',
    run: headerLimits,
  },
  {
    name: 'limits/match-reality',
    title: 'the backend takes what the limits grant and refuses what they deny',
    run: matchReality,
  },
]

const shapes: readonly Partial<OutgoingRecord>[] = [
  {},
  { key: 'a key of some length' },
  { key: 'ключ', headers: { one: 'value', two: 'Grüße' } },
]

async function sizeBoundary(context: CaseContext): Promise<void> {
  const { cloud, name, shim } = await bench(context)
  const driver = await context.openDriver()
  const opened = await driver.openTopic(name, context.signal)
  const limit = opened.limits.maxRecordBytes
  const topic = cloud.topic(name, { codec: bytesCodec })
  const usable = shapes.filter((shape) => shape.headers === undefined || context.world.capabilities.headers)
  const lengths = usable.map((shape) => longestBody((record) => opened.measure(record), limit, shape))
  for (const [index, shape] of usable.entries()) {
    const length = lengths[index] ?? 0
    const message = (size: number) => ({
      value: new Uint8Array(size).fill(index + 1),
      ...(shape.key === undefined ? {} : { key: shape.key }),
      ...(shape.headers === undefined ? {} : { headers: shape.headers }),
    })
    await topic.send(message(length))
    const before = shim.callsOf('sendBatch').length
    await refuses(
      () => topic.send(message(length + 1)),
      'too-large',
      `a record of the limit of ${limit} bytes and one more`,
    )
    equal(shim.callsOf('sendBatch').length, before, 'requests made for a record that is too large')
  }
  const reading = await drain(context, topic, usable.length)
  each(
    texts(reading.deliveries.map((one) => one.value.length)),
    texts(lengths),
    usable.length * (context.world.harness.copies ?? 1),
    'bodies of the largest size',
  )
}

async function batchBoundary(context: CaseContext): Promise<void> {
  const { cloud, name, shim } = await bench(context)
  const driver = await context.openDriver()
  const opened = await driver.openTopic(name, context.signal)
  const { maxBatchRecords, maxBatchBytes, maxRecordBytes } = opened.limits
  const many = Math.min(maxBatchRecords + 1, 3_000)
  const producer = cloud.topic(name, { codec: bytesCodec }).producer({ lingerMs: 5, maxBatchRecords, maxBatchBytes })
  const large = Math.max(1, Math.min(Math.floor(maxRecordBytes / 2), Math.floor(maxBatchBytes / 3), 2 * 1024 * 1024))
  await Promise.all([
    ...range(many).map(() => producer.send({ value: new Uint8Array(1) })),
    ...range(7).map(() => producer.send({ value: new Uint8Array(large) })),
  ])
  await producer.close()
  for (const call of shim.callsOf('sendBatch')) {
    between(call.records.length, 1, maxBatchRecords, 'records of a request')
    const bytes = call.records.reduce((sum, record) => sum + opened.measure(record), 0)
    that(
      bytes <= maxBatchBytes || call.records.length === 1,
      `a request of ${bytes} bytes is over the limit of ${maxBatchBytes}`,
    )
  }
  let found = 0
  for await (const message of cloud.topic(name, { codec: bytesCodec }).read()) found += message.body.length > 0 ? 1 : 0
  between(found, many + 7, (many + 7) * (context.world.harness.copies ?? 1), 'records that landed')
}

async function headerLimits(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const { limits, capabilities } = context.world
  const before = (): number => shim.callsOf('sendBatch').length
  const longKey = 'k'.repeat(limits.maxKeyBytes)
  await topic.send({ value: 0, key: longKey })
  const start = before()
  const over = ['too-large', 'invalid-argument'] as const
  await refuses(() => topic.send({ value: 1, key: `${longKey}k` }), over, 'a key over the limit')
  if (capabilities.headers) {
    const value = 'v'.repeat(limits.maxHeaderValueBytes)
    const count = Math.min(limits.maxHeaders, 1_000)
    const many = (size: number): Record<string, string> => Object.fromEntries(range(size).map((at) => [`h${at}`, 'x']))
    await refuses(() => topic.send({ value: 1, headers: { long: `${value}v` } }), over, 'a header value over the limit')
    if (count === limits.maxHeaders) {
      await refuses(() => topic.send({ value: 1, headers: many(count + 1) }), over, 'one header more than the limit')
    }
    for (const name of ['Upper', 'with space', '', 'ünicode', 'a:b']) {
      await refuses(
        () => topic.send({ value: 1, headers: { [name]: 'x' } }),
        'invalid-argument',
        `the header name "${name}"`,
      )
    }
    for (const bad of ['line\nbreak', 'return\r', ' leading', 'trailing ']) {
      await refuses(
        () => topic.send({ value: 1, headers: { a: bad } }),
        'invalid-argument',
        `the header value ${JSON.stringify(bad)}`,
      )
    }
    equal(before(), start, 'requests made for what is over the limits')
    await topic.send({ value: 1, headers: { long: value } })
    await topic.send({ value: 2, headers: many(count) })
  }
  const expected = capabilities.headers ? ['0', '1', '2'] : ['0']
  const reading = await drain(context, topic, expected.length)
  each(texts(reading.values()), expected, context.world.harness.copies ?? 1, 'records at the limits')
}

async function matchReality(context: CaseContext): Promise<void> {
  const { name } = await bench(context)
  const driver = await context.openDriver()
  const topic = await driver.openTopic(name, context.signal)
  const producer = await topic.producer(context.signal)
  const limit = topic.limits.maxRecordBytes
  const length = longestBody((record) => topic.measure(record), limit, {})
  equal(await sendRaw(sample(length)), 'stored', `what the backend does with a record of the limit of ${limit} bytes`)
  equal(await sendRaw(sample(length + 1)), 'too-large', `what the backend does with a record of ${limit + 1} bytes`)
  await producer.close()

  /** Tries again what the backend says may work again; a case about limits is not one about trouble. */
  async function sendRaw(record: OutgoingRecord): Promise<string> {
    for (let tries = 0; tries < 20; tries++) {
      const outcome = await producer.sendBatch([record], context.signal).then(
        ([first]) => first,
        (error: unknown) => ({
          ok: false as const,
          error: isError(error, ['too-large', 'throttled', 'unavailable', 'timeout', 'internal'], 'a raw send'),
        }),
      )
      that(outcome !== undefined, 'a request of one record has one outcome')
      if (outcome.ok) return 'stored'
      if (!outcome.error.retryable) return outcome.error.code
    }
    return 'never answered'
  }
}
