import type { Cloud, Consumer, ConsumerOptions, Handler, Message, RunOptions, Topic, TopicOptions } from '@sluice/core'
import type {
  Driver,
  DriverProducer,
  DriverTopic,
  IncomingRecord,
  LogSource,
  QueueSource,
  SubscribeOptions,
  TopicOrder,
} from '@sluice/driver'
import type { Harness } from '../harness.ts'
import { override } from '../override.ts'

/** A backend with one bug, and the case that must find it. */
export interface Mutant {
  readonly name: string
  /** The bug, as a sentence. */
  readonly bug: string
  /** The case that must fail, by its assertion. */
  readonly killedBy: string
  /** The order of the topics it is tried on. Default `key`. */
  readonly order?: TopicOrder
  /** Puts the bug in; called once per run. */
  readonly infect: () => Pick<Harness, 'mutate' | 'mutateCloud'>
}

/** A driver whose topics are changed. */
export function onTopic(
  driver: Driver,
  change: (topic: DriverTopic) => Partial<DriverTopic> | Promise<Partial<DriverTopic>>,
): Driver {
  return override(driver, {
    openTopic: async (name, signal) => {
      const topic = await driver.openTopic(name, signal)
      return override(topic, await change(topic))
    },
  })
}

/** A driver whose producers are changed. */
export function onProducer(
  driver: Driver,
  change: (producer: DriverProducer, topic: DriverTopic) => Partial<DriverProducer>,
): Driver {
  return onTopic(driver, (topic) => ({
    producer: async (signal) => {
      const producer = await topic.producer(signal)
      return override(producer, change(producer, topic))
    },
  }))
}

/** What a changed log source may look at. */
export interface Subscription {
  readonly options: SubscribeOptions
  readonly topic: DriverTopic
  readonly driver: Driver
}

/** A driver whose log sources are changed. `prepare` may change the subscription first. */
export function onLog(
  driver: Driver,
  change: (source: LogSource, subscription: Subscription) => Partial<LogSource> | Promise<Partial<LogSource>>,
  prepare: (options: SubscribeOptions) => SubscribeOptions = (options) => options,
): Driver {
  return onTopic(driver, (topic) => ({
    subscribe: async (given, signal) => {
      const options = prepare(given)
      const source = await topic.subscribe(options, signal)
      return source.shape === 'log' ? override(source, await change(source, { options, topic, driver })) : source
    },
  }))
}

/** A driver whose queue sources are changed. `prepare` may change the subscription first. */
export function onQueue(
  driver: Driver,
  change: (source: QueueSource) => Partial<QueueSource>,
  prepare: (options: SubscribeOptions) => SubscribeOptions = (options) => options,
): Driver {
  return onTopic(driver, (topic) => ({
    subscribe: async (given, signal) => {
      const source = await topic.subscribe(prepare(given), signal)
      return source.shape === 'queue' ? override(source, change(source)) : source
    },
  }))
}

/** A driver that changes what is read. */
export function onRecords(
  driver: Driver,
  change: (records: readonly IncomingRecord[]) => readonly IncomingRecord[],
): Driver {
  return onLog(driver, (source) => ({
    poll: async (credit, signal) => change(await source.poll(credit, signal)),
  }))
}

/** A driver that changes each record it reads. */
export function onRecord(driver: Driver, change: (record: IncomingRecord) => Partial<IncomingRecord>): Driver {
  return onRecords(driver, (records) => records.map((record) => ({ ...record, ...change(record) })))
}

type AnyTopic = Topic<unknown>
type AnyConsumer = Consumer<unknown>

/** A connection whose topics are changed. */
export function onCloudTopic(cloud: Cloud, change: (topic: AnyTopic, cloud: Cloud) => Partial<AnyTopic>): Cloud {
  const topic = (name: string, options: TopicOptions<unknown> = {}): AnyTopic => {
    const real = cloud.topic(name, options)
    return override(real, change(real, cloud))
  }
  return override(cloud, { topic })
}

/** A connection whose consumers run a changed handler. Batch handlers are left alone. */
export function onHandler(
  cloud: Cloud,
  change: (handler: Handler<unknown>, topic: AnyTopic) => Handler<unknown>,
): Cloud {
  return onConsumer(cloud, (consumer, topic) => {
    const run = (handler: Handler<unknown>, options: RunOptions & { readonly batch?: unknown } = {}): Promise<void> =>
      consumer.run(options.batch === undefined ? change(handler, topic) : handler, options)
    return { run: run as AnyConsumer['run'] }
  })
}

/** A connection whose consumers are changed. */
export function onConsumer(
  cloud: Cloud,
  change: (consumer: AnyConsumer, topic: AnyTopic) => Partial<AnyConsumer>,
): Cloud {
  return onCloudTopic(cloud, (topic) => ({
    consumer: (options) => {
      const consumer = topic.consumer(options)
      return override(consumer, change(consumer, topic))
    },
  }))
}

/** A connection whose consumers have other options than were asked for. */
export function withConsumerOptions(cloud: Cloud, options: Partial<ConsumerOptions<unknown>>): Cloud {
  return onCloudTopic(cloud, (topic) => ({ consumer: (given) => topic.consumer({ ...given, ...options }) }))
}

/** A message with some of its verbs replaced. */
export function withVerbs(message: Message<unknown>, verbs: Partial<Message<unknown>>): Message<unknown> {
  return override(message, verbs)
}
