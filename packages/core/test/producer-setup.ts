import { silentLogger, StreamError } from '@sluice/driver'
import type { Capabilities, DriverTopic, Logger, OutgoingRecord } from '@sluice/driver'
import { ManualClock } from '@sluice/driver/testing'
import type { ProducerOptions } from '../src/api/producer.ts'
import type { RateLimit } from '../src/api/topic.ts'
import { json } from '../src/codecs.ts'
import { IdGenerator } from '../src/ids.ts'
import { TopicProducer } from '../src/producer/producer.ts'
import { RateLimiter } from '../src/rate-limiter.ts'
import { ValueFormat } from '../src/values.ts'
import { allCapabilities, failed, fakeTopic, stored } from './fake-topic.ts'
import type { Answer } from './fake-topic.ts'

/** What a test of a producer works with. */
export interface Setup {
  readonly clock: ManualClock
  readonly producer: TopicProducer<unknown>
}

/** A producer of a topic that answers as it is told, on a clock that the test sets. */
export function setup(
  answer: Answer,
  options: ProducerOptions = {},
  capabilities: Partial<Capabilities> = {},
  rate?: RateLimit,
  openTopic = (topic: DriverTopic) => Promise.resolve(topic),
  logger: Logger = silentLogger,
): Setup {
  const clock = new ManualClock()
  const topic = fakeTopic(answer)
  const producer = new TopicProducer<unknown>({
    topicName: 't',
    openTopic: () => openTopic(topic),
    patiently: (_, work) => work(),
    capabilities: { ...allCapabilities, ...capabilities },
    format: new ValueFormat(json, undefined),
    options,
    rate: rate === undefined ? undefined : new RateLimiter(rate, clock),
    ids: new IdGenerator(clock),
    clock,
    random: () => 0.5,
    logger,
    telemetry: undefined,
    onClosed: () => undefined,
  })
  return { clock, producer }
}

/** Everything is stored. */
export const allStored: Answer = (records) => Promise.resolve(records.map((_, index) => stored(index)))
export const valueOf = (record: OutgoingRecord): unknown => JSON.parse(Buffer.from(record.body).toString())
/** What is `bad` is refused for good. */
export const badFails: Answer = (records) =>
  Promise.resolve(records.map((record) => (valueOf(record) === 'bad' ? failed('invalid-argument') : stored(0))))
/** The code that a promise rejects with, or `ok`. */
export const codeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise
    return 'ok'
  } catch (error) {
    return StreamError.is(error) ? error.code : String(error)
  }
}
