import type { Capabilities, Clock, DriverTopic, Logger, Random } from '@sluice/driver'
import type { ProducerOptions } from '../api/producer.ts'
import type { RateLimiter } from '../rate-limiter.ts'
import { Admission } from './admission.ts'
import type { Entry } from './lane.ts'
import { Outbox } from './outbox.ts'
import { within } from '../within.ts'
import { producerSettings } from './settings.ts'

/** What a close gives the backend at least, in milliseconds, however short its own deadline is. */
const graceMs = 1_000

/** A producer whose topic is open: the door, and the lanes behind it. */
export interface Opened {
  readonly topic: DriverTopic
  readonly outbox: Outbox
  readonly admission: Admission
  /** Waits no longer than it is told to: everything sent was confirmed or given up, so nothing is left to be done. */
  readonly closeDriver: (timeoutMs: number) => Promise<void>
}

/** What opening takes. */
export interface OpenDeps {
  readonly openTopic: () => Promise<DriverTopic>
  /** Tries again while the backend is away. */
  readonly patiently: <T>(what: string, work: () => Promise<T>) => Promise<T>
  readonly capabilities: Capabilities
  readonly options: ProducerOptions
  readonly rate: RateLimiter | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Opens the topic and puts the parts together. `onGone` is called once for each entry that leaves. */
export async function openProducer(deps: OpenDeps, onGone: (entry: Entry) => void): Promise<Opened> {
  const topic = await deps.openTopic()
  const settings = producerSettings(deps.options, topic.limits)
  const driver = await deps.patiently(`open a producer of topic "${topic.name}"`, () =>
    topic.producer(AbortSignal.timeout(Math.min(settings.requestTimeoutMs, 2 ** 31 - 1))),
  )
  const admission = new Admission(settings.maxBufferedRecords, settings.maxBufferedBytes)
  const outbox = new Outbox({
    topic: topic.name,
    driver,
    requestOrder: topic.requestOrder ?? deps.capabilities.requestOrder,
    ordered: topic.order === 'key',
    settings,
    rate: deps.rate,
    clock: deps.clock,
    random: deps.random,
    logger: deps.logger,
    onGone: (entry) => {
      onGone(entry)
      admission.release(entry.bytes)
    },
  })
  const closeDriver = async (timeoutMs: number): Promise<void> => {
    await within(deps.clock, driver.close(), Math.max(timeoutMs, graceMs))
  }
  return { topic, outbox, admission, closeDriver }
}
