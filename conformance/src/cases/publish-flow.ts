import type { Case } from '../case.ts'
import { childProcess } from '../case.ts'
import { Children } from '../children/children.ts'
import { bytesCodec } from '../codecs.ts'
import type { CaseContext } from '../context.ts'
import { between, each, equal, isError, rejects, that } from '../expect.ts'
import type { RequestShim } from '../shim/shim.ts'
import { bench, drain, messages, numbers, range, sendAll, texts } from '../setup.ts'

/** What a producer does when the backend is slow, busy, dead, or when the caller changes its mind. */
export const publishFlowCases: readonly Case[] = [
  {
    name: 'publish/receipt-means-durable',
    title: 'a record with a receipt can be read at once by somebody else, and outlives a killed sender',
    run: durable,
  },
  {
    name: 'publish/throttle-backs-off',
    title: 'throttled calls are repeated at a bounded rate, and everything lands',
    run: throttle,
  },
  {
    name: 'publish/back-pressure',
    title: 'with a backend that does not answer, buffers stay under their bounds and sends wait',
    run: backPressure,
  },
  {
    name: 'publish/rate-limit',
    title: "a topic's configured rates hold within five percent",
    run: rateLimit,
    deadlineMs: 25_000,
  },
  {
    name: 'publish/close-flushes',
    title: 'a thousand sends that nobody awaited are stored when close resolves',
    run: closeFlushes,
  },
  {
    name: 'publish/close-with-dead-broker',
    title: 'close returns by its deadline and names what was not sent',
    run: closeWithDeadBroker,
  },
  { name: 'publish/cancel', title: 'a signal ends a send in every phase, and says when it came too late', run: cancel },
]

async function durable(context: CaseContext): Promise<void> {
  const { topic, name } = await bench(context)
  const other = numbers(await context.connect(), name)
  await sendAll(topic, messages(20, 3))
  const found: number[] = []
  for await (const message of other.read()) found.push(message.value)
  each(
    texts(found),
    texts(range(20)),
    context.world.harness.copies ?? 1,
    'records seen by another connection right after the receipts',
  )
  if (childProcess(context.world) !== true || !context.world.capabilities.persistent) return
  const children = new Children(context)
  const sender = await children.sender(name, { keys: 3, first: 1000 })
  await context.eventually(() => that(sender.lines.length >= 50, 'the child got 50 receipts'))
  await sender.kill()
  const promised = sender.lines.flatMap((line) => (line.kind === 'sent' ? [line.value] : []))
  const reading = await drain(context, topic, 20 + promised.length)
  const values = new Set(reading.values())
  equal(
    promised.filter((value) => !values.has(value)),
    [],
    'records with a receipt that a killed sender left behind',
  )
}

async function throttle(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer({ maxInFlight: 1 })
  shim.throttle('sendBatch', 900)
  const results = await producer.sendAll(messages(20, 1))
  equal(results.filter((result) => !result.ok).length, 0, 'sends that failed')
  const throttled = shim.callsOf('sendBatch').filter((call) => call.error !== undefined)
  between(throttled.length, 1, 40, 'calls in 900 ms of throttling')
  shim.clear()
  shim.throttle('sendBatch', 1, { retryAfterMs: 300 })
  const mark = shim.calls.length
  await producer.send({ value: 20, key: 'k0' })
  await producer.close()
  const [first, second] = shim.calls.slice(mark).filter((call) => call.operation === 'sendBatch')
  that(first !== undefined && second !== undefined, 'the throttled call was repeated')
  between(second.startedAtMs - first.startedAtMs, 295, 2_000, 'the wait after "retry after 300 ms"')
  const reading = await drain(context, topic, 21)
  each(texts(reading.values()), texts(range(21)), context.world.harness.copies ?? 1, 'records after throttling')
}

async function backPressure(context: CaseContext): Promise<void> {
  const { cloud, topic, name, shim } = await bench(context)
  const stuck = shim.hang('sendBatch')
  const producer = topic.producer({ maxBufferedRecords: 100 })
  const sends = messages(500, 10).map((message) => producer.send(message))
  const heavy = cloud.topic(name, { codec: bytesCodec }).producer({ maxBufferedBytes: 100_000 })
  const heavySends = range(50).map(() => heavy.send({ value: new Uint8Array(10_000) }))
  await context.eventually(() => that(shim.callsOf('sendBatch').length > 0, 'a request was made'))
  await context.settleWindow()
  const records = producer.stats().bufferedRecords
  const bytes = heavy.stats().bufferedBytes
  const settled = await countSettled([...sends, ...heavySends])
  stuck.remove()
  await Promise.all([...sends, ...heavySends])
  await Promise.all([producer.close(), heavy.close()])
  between(records, 1, 100, 'records buffered by a producer that may buffer 100')
  between(bytes, 1, 100_000, 'bytes buffered by a producer that may buffer 100 000')
  equal(settled, 0, 'sends that were settled while the backend did not answer')
  const found: number[] = []
  for await (const message of cloud.topic(name, { codec: bytesCodec }).read()) found.push(message.body.length)
  between(found.length, 550, 550 * (context.world.harness.copies ?? 1), 'records that landed in the end')
}

async function countSettled(promises: readonly Promise<unknown>[]): Promise<number> {
  let settled = 0
  for (const promise of promises) {
    const count = (): void => void settled++
    promise.then(count, count)
  }
  await new Promise((resolve) => setImmediate(resolve))
  return settled
}

async function rateLimit(context: CaseContext): Promise<void> {
  const { cloud, shim } = await context.shimmed()
  const byCount = await context.createTopic(cloud)
  const limited = cloud.topic(byCount, { codec: bytesCodec, rateLimit: { messagesPerSecond: 200 } })
  await Promise.all(range(500).map(() => limited.send({ value: new Uint8Array(10) })))
  holdRate(
    requestsTo(shim, byCount, () => 1),
    200,
  )
  noSlowerThan(
    requestsTo(shim, byCount, () => 1),
    200,
  )
  const byBytes = await context.createTopic(cloud)
  const heavy = cloud.topic(byBytes, { codec: bytesCodec, rateLimit: { bytesPerSecond: 200_000 } })
  await Promise.all(range(40).map(() => heavy.send({ value: new Uint8Array(10_000) })))
  holdRate(
    requestsTo(shim, byBytes, (bytes) => bytes),
    200_000,
  )
  noSlowerThan(
    requestsTo(shim, byBytes, (bytes) => bytes),
    200_000,
  )
  const slow = await context.createTopic(cloud)
  const heldUp = cloud.topic(slow, { codec: bytesCodec, rateLimit: { messagesPerSecond: 200 } })
  shim.delay({ operation: 'sendBatch', topic: slow }, 1_600, { times: 1 })
  const producer = heldUp.producer({ maxInFlight: 1 })
  await Promise.all(range(600).map(() => producer.send({ value: new Uint8Array(10) })))
  holdRate(
    requestsTo(shim, slow, () => 1),
    200,
  )
}

interface Sent {
  readonly atMs: number
  readonly weight: number
}

function requestsTo(shim: RequestShim, topic: string, weigh: (bodyBytes: number) => number): readonly Sent[] {
  return shim.callsOf({ operation: 'sendBatch', topic }).map(({ records, startedAtMs }) => ({
    atMs: startedAtMs,
    weight: records.reduce((sum, record) => sum + weigh(record.body.length), 0),
  }))
}

/** Between any two requests, both included, never more than a burst of one second and the rate for the time between them. */
function holdRate(requests: readonly Sent[], perSecond: number): void {
  let room = perSecond
  let lastMs = requests[0]?.atMs ?? 0
  for (const { atMs, weight } of requests) {
    room = Math.min(perSecond, room + ((atMs - lastMs) / 1000) * perSecond) - weight
    lastMs = atMs
    that(
      room >= -0.05 * perSecond,
      `at ${perSecond} per second ${Math.round(-room)} too many were asked for ${Math.round(atMs - (requests[0]?.atMs ?? 0))} ms after the first request`,
    )
  }
}

function noSlowerThan(requests: readonly Sent[], perSecond: number): void {
  const sent = requests.reduce((sum, { weight }) => sum + weight, 0)
  const owedMs = ((sent - perSecond) / perSecond) * 1000
  const tookMs = (requests.at(-1)?.atMs ?? 0) - (requests[0]?.atMs ?? 0)
  between(
    tookMs,
    owedMs * 0.95,
    owedMs * 1.05 + 1_500,
    `milliseconds for ${sent} at ${perSecond} per second after the burst`,
  )
}

async function closeFlushes(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const producer = topic.producer()
  const sends = messages(1000, 10).map((message) => producer.send(message))
  await producer.close()
  const results = await Promise.allSettled(sends)
  equal(results.filter((result) => result.status === 'rejected').length, 0, 'sends before close that were rejected')
  await rejects(producer.send({ value: 1 }), 'closed', 'a send after close')
  const reading = await drain(context, topic, 1000)
  each(texts(reading.values()), texts(range(1000)), context.world.harness.copies ?? 1, 'records sent before close')
}

async function closeWithDeadBroker(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const producer = topic.producer()
  await producer.send({ value: 0 })
  shim.hang('sendBatch')
  const ids = range(5).map((index) => `unsent-${index}`)
  const sends = ids.map((id, value) => producer.send({ value, id }))
  const outcomes = Promise.allSettled(sends)
  const started = performance.now()
  const error = await rejects(producer.close({ timeoutMs: 300 }), 'timeout', 'close with a dead broker')
  between(performance.now() - started, 250, 1_500, 'milliseconds that a close with a deadline of 300 ms took')
  const unsent = error.details['unsent']
  that(Array.isArray(unsent), 'the error names the unsent records in details.unsent')
  equal([...(unsent as string[])].toSorted(), ids, 'unsent ids named by the error')
  for (const outcome of await outcomes) {
    that(outcome.status === 'rejected', 'a send that was given up is rejected')
    isError(outcome.reason, 'timeout', 'a send that was given up')
  }
  await rejects(producer.close(), 'timeout', 'a second close, which tells the same')
}

async function cancel(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  await rejects(
    topic.send({ value: 0 }, { signal: AbortSignal.abort() }),
    'aborted',
    'a send with a signal that has aborted',
  )
  const producer = topic.producer({ maxBufferedRecords: 2, maxInFlight: 1, maxBatchRecords: 1 })
  await producer.send({ value: 1, key: 'k' })
  const stuck = shim.hang('sendBatch')
  const [wire, queued, waiting] = [new AbortController(), new AbortController(), new AbortController()]
  const onTheWire = producer.send({ value: 2, key: 'k' }, { signal: wire.signal })
  await context.eventually(() =>
    that(
      shim.callsOf('sendBatch').some((call) => call.endedAtMs === undefined),
      'a request is on the wire',
    ),
  )
  const inQueue = producer.send({ value: 3, key: 'k' }, { signal: queued.signal })
  const atTheDoor = producer.send({ value: 4, key: 'k' }, { signal: waiting.signal })
  void Promise.allSettled([onTheWire, inQueue, atTheDoor])
  waiting.abort()
  await context.within(
    rejects(atTheDoor, 'aborted', 'a send waiting for room'),
    1_000,
    'aborting a send that waits for room',
  )
  queued.abort()
  const early = await context.within(rejects(inQueue, 'aborted', 'a queued send'), 1_000, 'aborting a queued send')
  equal(early.ambiguous, false, 'whether a send aborted in the queue may have happened')
  wire.abort()
  const late = await context.within(
    rejects(onTheWire, 'aborted', 'a send on the wire'),
    1_000,
    'aborting a send on the wire',
  )
  equal(late.ambiguous, true, 'whether a send aborted on the wire may have happened')
  stuck.remove()
  producer.resume()
  await producer.send({ value: 5, key: 'k' })
  await producer.close()
  const seen = (await drain(context, topic, 2)).values()
  that(!seen.includes(3) && !seen.includes(4), 'nothing was stored that was aborted before it was on the wire')
  that(seen.includes(1) && seen.includes(5), 'what was sent before and after was stored')
}
