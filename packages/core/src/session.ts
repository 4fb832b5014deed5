import { AsyncLocalStorage } from 'node:async_hooks'
import { hostname } from 'node:os'
import { StreamError } from '@sluice/driver'
import type { Clock, Driver, DriverTopic, Logger, OutgoingRecord, Random, TopicSpec } from '@sluice/driver'
import type { CloseOptions } from './api/cloud.ts'
import type { Consumer, ConsumerOptions } from './api/consumer.ts'
import type { ReadMessage } from './api/message.ts'
import type { ProducerOptions } from './api/producer.ts'
import type { ReadOptions, TopicOptions } from './api/topic.ts'
import type { Codec } from './codec.ts'
import { bytes } from './codecs.ts'
import { TopicConsumer } from './consumer/consumer.ts'
import { consumerSettings } from './consumer/settings.ts'
import { checkFits } from './fit.ts'
import { IdGenerator } from './ids.ts'
import { closeTimeoutMs } from './option-kinds.ts'
import { patiently } from './patiently.ts'
import { TopicProducer } from './producer/producer.ts'
import { RateLimiter } from './rate-limiter.ts'
import { readTopic } from './read.ts'
import type { Telemetry } from './telemetry.ts'
import { ValueFormat } from './values.ts'
import { within } from './within.ts'

/** What a session works with. */
export interface SessionDeps {
  readonly driver: Driver
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
  readonly telemetry: Telemetry | undefined
  /** How long a backend that is away is waited for when something is opened, in milliseconds. */
  readonly connectTimeoutMs: number
  /** Whether missing topics are made. */
  readonly create: boolean
  readonly topics: Readonly<Record<string, TopicSpec>>
  readonly producer: ProducerOptions
  /** The codec of topics that name none; `undefined`: JSON. */
  readonly codec: Codec<unknown> | undefined
}

/** What a topic is opened with: its spec, if it has to be made. */
export type OpenSpec = TopicSpec & { readonly create?: boolean }

/** A topic that is open, and the specs it was compared with. */
interface OpenedTopic {
  readonly topic: Promise<DriverTopic>
  readonly fitting: Map<string, Promise<DriverTopic>>
}

interface Closable {
  close(options?: CloseOptions): Promise<void>
}

const raw = new ValueFormat(bytes, undefined)
/** What a close gives the backend at least, in milliseconds, however short its own deadline is. */
const graceMs = 1_000

/** Everything that is open on one connection: topics, producers, consumers. Knows how to make them and closes them all. */
export class Session {
  readonly deps: SessionDeps
  readonly #topics = new Map<string, OpenedTopic>()
  readonly #rates = new Map<string, RateLimiter>()
  readonly #producers = new Set<Closable>()
  readonly #consumers = new Set<TopicConsumer>()
  readonly #ids: IdGenerator
  readonly #deadLetters = new Map<string, TopicProducer<Uint8Array>>()
  readonly #stop = new AbortController()
  readonly inside: AsyncLocalStorage<object> = new AsyncLocalStorage<object>()
  #closing: Promise<void> | undefined
  /** Consumers are closed: nothing that they have begun may want to send or open any more. */
  #quiet = false

  constructor(deps: SessionDeps) {
    this.deps = deps
    this.#ids = new IdGenerator(deps.clock)
  }

  /**
   * The topic, opened once for all; made first when it is missing and may be made. Rejects with `conflict` when it has
   * another order or number of partitions than `spec` says, which is looked at once for each of them.
   */
  openTopic(name: string, spec: OpenSpec): Promise<DriverTopic> {
    if (this.#quiet && this.#producers.size === 0) {
      return Promise.reject(new StreamError('closed', 'the connection is closed'))
    }
    const opened = this.#topics.get(name) ?? this.#openAnew(name, spec)
    if (spec.order === undefined && spec.partitions === undefined) return opened.topic
    const asked = `${spec.order ?? ''}/${spec.partitions ?? ''}`
    let fitting = opened.fitting.get(asked)
    if (fitting === undefined) {
      fitting = this.#fitting(opened.topic, spec)
      opened.fitting.set(asked, fitting)
      fitting.catch(() => opened.fitting.delete(asked))
    }
    return fitting
  }

  /** Forgets an opened topic, because it was deleted or changed. */
  forgetTopic(name: string): void {
    this.#topics.delete(name)
  }

  producer<T>(
    name: string,
    spec: TopicOptions<unknown>,
    format: ValueFormat<T, unknown>,
    options: ProducerOptions,
  ): TopicProducer<T> {
    // While consumers drain, their handlers may send, and what they cannot handle becomes a dead letter.
    if (this.#quiet) this.#checkOpen()
    const { clock, random, driver, logger, telemetry } = this.deps
    const producer: TopicProducer<T> = new TopicProducer<T>({
      topicName: name,
      openTopic: () => this.openTopic(name, spec),
      patiently: (what, work) => this.#patiently(what, work),
      capabilities: driver.capabilities,
      format,
      options: { ...this.deps.producer, ...options },
      rate: this.rateOf(name, spec),
      ids: new IdGenerator(clock),
      clock,
      random,
      logger,
      telemetry,
      onClosed: () => this.#producers.delete(producer),
    })
    this.#producers.add(producer)
    return producer
  }

  consumer<T>(
    name: string,
    spec: TopicOptions<unknown>,
    format: ValueFormat<unknown, T>,
    options: ConsumerOptions<T>,
    transactional = false,
  ): Consumer<T> {
    this.#checkOpen()
    const settings = consumerSettings(name, options, transactional)
    const { deadLetterTopic } = settings
    const { driver } = this.deps
    let deadLetters: DriverTopic | undefined
    const consumer: TopicConsumer = new TopicConsumer({
      ...this.deps,
      topicName: name,
      member: options.member ?? `${hostname()}-${process.pid}-${this.#ids.next().slice(-12)}`,
      settings,
      openTopic: async () => {
        const topic = await this.openTopic(name, spec)
        if (deadLetterTopic !== undefined) deadLetters = await this.#openDeadLetters(name, deadLetterTopic)
        return topic
      },
      patiently: (what, work, signal) => this.#patiently(what, work, signal),
      forgetTopic: () => this.forgetTopic(name),
      deadLetterFits: (record) =>
        deadLetters === undefined || deadLetters.measure(record) <= deadLetters.limits.maxRecordBytes,
      sendDeadLetter: (record, signal) => this.#deadLetterProducer(deadLetterTopic ?? '').sendRecord(record, signal),
      capabilities: driver.capabilities,
      format,
      ids: this.#ids,
      inside: this.inside,
      transactional,
      onSettled: options.onSettled as ((message: unknown) => void) | undefined,
      onClosed: () => this.#consumers.delete(consumer),
    })
    this.#consumers.add(consumer)
    return consumer as unknown as Consumer<T>
  }

  read<T>(
    name: string,
    spec: TopicOptions<unknown>,
    format: ValueFormat<unknown, T>,
    options: ReadOptions,
  ): AsyncIterable<ReadMessage<T>> {
    const signal =
      options.signal === undefined ? this.#stop.signal : AbortSignal.any([options.signal, this.#stop.signal])
    return readTopic(() => this.openTopic(name, spec), this.deps, format, options, signal)
  }

  /** Sends encoded records as they are: dead letters, and dead letters on their way back. */
  sendRaw(topic: string, record: OutgoingRecord): Promise<unknown> {
    return this.#deadLetterProducer(topic).sendRecord(record, this.#stop.signal)
  }

  /** The rate limit of a topic, shared by all that send to it here; `undefined`: nobody gave it one. */
  rateOf(name: string, spec: TopicOptions<unknown>): RateLimiter | undefined {
    const known = this.#rates.get(name)
    if (known !== undefined || spec.rateLimit === undefined) return known
    const rate = new RateLimiter(spec.rateLimit, this.deps.clock)
    this.#rates.set(name, rate)
    return rate
  }

  nextId(): string {
    return this.#ids.next()
  }

  async close(options?: CloseOptions): Promise<void> {
    closeTimeoutMs(options)
    this.#closing ??= this.#close(options)
    if (this.inside.getStore() === undefined) return this.#closing
    this.#closing.catch((error: unknown) => {
      this.deps.logger.error({ error }, 'the connection could not be closed in good order')
    })
  }

  /** Ends whatever waits on the session as such. Throws `closed` once the session is. */
  get signal(): AbortSignal {
    this.#checkOpen()
    return this.#stop.signal
  }

  async #close(options: CloseOptions | undefined): Promise<void> {
    // Consumers first: their handlers may still send.
    const consumers = await Promise.allSettled([...this.#consumers].map((one) => one.closed(options)))
    this.#quiet = true
    const producers = await Promise.allSettled([...this.#producers].map((one) => one.close(options)))
    this.#stop.abort(new StreamError('closed', 'the connection is closed'))
    const { clock, driver } = this.deps
    const timeoutMs = Math.max(closeTimeoutMs(options), graceMs)
    const letGo = await within(clock, driver.close(), timeoutMs)
    for (const one of [...consumers, ...producers]) if (one.status === 'rejected') throw one.reason
    if (letGo) return
    const message = `the backend did not let go of the connection within ${timeoutMs} ms; it is left behind`
    throw new StreamError('timeout', message)
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new StreamError('closed', 'the connection is closed')
  }

  #openAnew(name: string, spec: OpenSpec): OpenedTopic {
    const opened = { topic: this.#open(name, spec), fitting: new Map<string, Promise<DriverTopic>>() }
    this.#topics.set(name, opened)
    opened.topic.catch(() => this.#topics.delete(name))
    return opened
  }

  async #fitting(opening: Promise<DriverTopic>, spec: OpenSpec): Promise<DriverTopic> {
    const topic = await opening
    const look = (): Promise<void> => checkFits(this.deps.driver, topic, spec, this.#stop.signal)
    await this.#patiently(`look at topic "${topic.name}"`, look)
    return topic
  }

  #open(name: string, spec: OpenSpec): Promise<DriverTopic> {
    return this.#patiently(`open topic "${name}"`, () => this.#openOrMake(name, spec))
  }

  #patiently<T>(what: string, work: () => Promise<T>, signal: AbortSignal = this.#stop.signal): Promise<T> {
    return patiently(what, work, { ...this.deps, patienceMs: this.deps.connectTimeoutMs, signal })
  }

  async #openOrMake(name: string, spec: OpenSpec): Promise<DriverTopic> {
    const { driver, create, topics } = this.deps
    const signal = this.#stop.signal
    try {
      return await driver.openTopic(name, signal)
    } catch (error) {
      if (
        !StreamError.is(error, 'not-found') ||
        !(spec.create ?? create) ||
        !driver.capabilities.admin.includes('create')
      )
        throw error
      await driver.admin.createTopic(name, { ...topics[name], ...specOf(spec) }, signal)
      return driver.openTopic(name, signal)
    }
  }

  async #openDeadLetters(origin: string, name: string): Promise<DriverTopic> {
    try {
      return await this.openTopic(name, {})
    } catch (cause) {
      if (!StreamError.is(cause, 'not-found')) throw cause
      throw new StreamError(
        'not-found',
        `the dead-letter topic "${name}" of topic "${origin}" does not exist; create it (sluice topics create ${name}), name another with deadLetter: { topic }, or set deadLetter: false`,
        { cause },
      )
    }
  }

  #deadLetterProducer(topic: string): TopicProducer<Uint8Array> {
    let producer = this.#deadLetters.get(topic)
    if (producer === undefined) {
      producer = this.producer(topic, {}, raw, { onOrderedFailure: 'continue', retry: { maxElapsedMs: 30_000 } })
      this.#deadLetters.set(topic, producer)
    }
    return producer
  }
}

/** The part of topic options that says how the topic should be. */
function specOf(options: OpenSpec): TopicSpec {
  const { partitions, order, retentionMs, retentionBytes } = options
  return {
    ...(partitions === undefined ? {} : { partitions }),
    ...(order === undefined ? {} : { order }),
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(retentionBytes === undefined ? {} : { retentionBytes }),
  }
}
