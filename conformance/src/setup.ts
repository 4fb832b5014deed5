import type { Cloud, ConnectOptions, Consumer, ConsumerOptions, OutgoingMessage, Receipt, Topic } from '@sluice/core'
import type { TopicSpec } from '@sluice/driver'
import { json } from './codecs.ts'
import type { CaseContext, Shimmed } from './context.ts'
import { each, equal, that } from './expect.ts'
import { unexcusedRepeats } from './progress.ts'
import { read } from './reading.ts'
import type { Delivery, Reading, ReadingOptions } from './reading.ts'

/** A connection, and a fresh topic of numbers on it. */
export interface Bench extends Shimmed {
  readonly topic: Topic<number>
  readonly name: string
}

/** Connects and makes a topic of numbers. */
export async function bench(context: CaseContext, spec: TopicSpec = {}, options: ConnectOptions = {}): Promise<Bench> {
  const shimmed = await context.shimmed(options)
  const name = await context.createTopic(shimmed.cloud, spec)
  return { ...shimmed, name, topic: numbers(shimmed.cloud, name) }
}

/** A topic of numbers. */
export function numbers(cloud: Cloud, name: string): Topic<number> {
  return cloud.topic(name, { codec: json<number>() })
}

/** Messages with the values from `first` on, keyed in turn by `keys` keys (`k0`, `k1`, …); no key at all with 0. */
export function messages(count: number, keys = 0, first = 0): OutgoingMessage<number>[] {
  return Array.from({ length: count }, (_, index) => {
    const value = first + index
    return keys === 0 ? { value } : { value, key: `k${value % keys}` }
  })
}

/** Sends everything and expects every send to be well. */
export async function sendAll<T>(topic: Topic<T>, all: readonly OutgoingMessage<T>[]): Promise<readonly Receipt[]> {
  const results = await topic.sendAll(all)
  const failed = results.flatMap((result) => (result.ok ? [] : [`${result.error.code}: ${result.error.message}`]))
  equal(failed.slice(0, 3), [], `${failed.length} of ${all.length} sends failed`)
  return results.flatMap((result) => (result.ok ? [result.receipt] : []))
}

/** A consumer with small times, for tests. */
export function member<T>(topic: Topic<T>, group: string, options: Partial<ConsumerOptions<T>> = {}): Consumer<T> {
  return topic.consumer({
    group,
    retry: { baseMs: 10, maxMs: 50 },
    commitIntervalMs: 10,
    revokeTimeoutMs: 2_000,
    ...options,
  })
}

/** Reads the topic with a group of its own until so many deliveries came, waits for extras, and closes. */
export async function drain<T>(
  context: CaseContext,
  topic: Topic<T>,
  expected: number,
  options: ReadingOptions<T> & Partial<ConsumerOptions<T>> = {},
): Promise<Reading<T>> {
  const { handle, member: memberName, into, concurrency, signal, ...consumerOptions } = options
  const consumer = member(topic, context.name('g'), consumerOptions)
  const readingOptions: ReadingOptions<T> = {
    ...(handle === undefined ? {} : { handle }),
    ...(memberName === undefined ? {} : { member: memberName }),
    ...(into === undefined ? {} : { into }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(signal === undefined ? {} : { signal }),
  }
  const reading = read(context, consumer, readingOptions)
  await reading.count(expected)
  await reading.stop()
  return reading
}

/** The values as texts, for `each`. */
export function texts(values: readonly unknown[]): readonly string[] {
  return values.map(String)
}

/** Whole numbers from 0. */
export function range(count: number, first = 0): readonly number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

/** Sends one after the other, so that the log holds them in this order whatever their keys. */
export async function sendInTurn<T>(topic: Topic<T>, all: readonly OutgoingMessage<T>[]): Promise<void> {
  for (const message of all) await topic.send(message)
}

/**
 * Every value came, and none was repeated without need, over members that ended in good order: see
 * {@link unexcusedRepeats}. Sends that left two copies excuse themselves by `harness.copies`.
 */
export async function allOnce(
  context: CaseContext,
  topicName: string,
  deliveries: readonly Delivery<number>[],
  expected: readonly number[],
  what: string,
): Promise<void> {
  each(texts(deliveries.map((one) => one.value)), texts(expected), Infinity, what)
  const { copies = 1, ackedMayRepeat = false, strayRepeats = 0 } = context.world.harness
  if (copies > 1 || ackedMayRepeat) return
  const driver = await context.openDriver()
  const topic = await driver.openTopic(topicName, context.signal)
  const compare = context.world.shape === 'log' ? topic.comparePositions.bind(topic) : undefined
  const repeats = unexcusedRepeats(deliveries, compare, leaseRanOut(context))
  that(
    repeats.length <= strayRepeats,
    `${what}: ${repeats.length} repeats although nothing before them was undone, ${strayRepeats} may be: ${repeats.slice(0, 5).join(', ')}`,
  )
}

/** Whether the lease of a message may have run out because this process stood still: then others have it too. Queues only. */
export function leaseRanOut(context: CaseContext): (first: Delivery<unknown>, again: Delivery<unknown>) => boolean {
  const { shape, tuning } = context.world
  return (first, again) =>
    shape === 'queue' && context.stalls.longest(first.startedAtMs, again.startedAtMs) > tuning.failoverMs / 3
}
