import { ListStreamsCommand } from '@aws-sdk/client-kinesis'
import { Opened, openedTopic, specVersion, StreamError } from '@sluice/driver'
import type {
  Capabilities,
  Driver,
  DriverAdmin,
  DriverProducer,
  DriverTopic,
  ErrorContext,
  Limits,
  OpenContext,
  Source,
  SubscribeOptions,
} from '@sluice/driver'
import type { Membership } from '@sluice/lease'
import { KinesisAdmin } from './admin.ts'
import { Calls } from './calls.ts'
import { openClients } from './clients.ts'
import type { Clients } from './clients.ts'
import { measureRecord } from './codec.ts'
import type { KinesisConfig } from './config.ts'
import { KinesisSource, membershipOf } from './consumer.ts'
import type { SourceContext } from './consumer.ts'
import { comparePositions } from './places.ts'
import { isClockOff, toStreamError } from './errors.ts'
import { FanOutConsumers } from './fan-out.ts'
import { Groups } from './groups.ts'
import { HotShards } from './hot-shards.ts'
import { LeaseTables } from './lease-table.ts'
import { KinesisProducer } from './producer.ts'
import { ServerTime } from './server-time.ts'
import { Streams } from './streams.ts'
import { TopicView } from './topic.ts'

/** What Kinesis can do, as this adapter uses it; `requestOrder`, `headers`, `ids` and `emptyKey` follow the encoding in the address. */
export const kinesisCapabilities: Capabilities = {
  shapes: { key: 'log', none: false },
  persistent: true,
  embedded: false,
  requestOrder: 'kept',
  dedup: false,
  receiptPosition: true,
  explicitPartition: true,
  positions: 'comparable',
  emptyKey: true,
  start: ['earliest', 'latest', 'time', 'position'],
  seek: ['earliest', 'latest', 'time', 'position'],
  seekLive: true,
  attempts: 'process',
  retryDelay: false,
  repartition: 'any',
  // 24 hours to 365 days.
  retention: { minMs: 86_400_000, maxMs: 31_536_000_000, defaultMs: 86_400_000, bytes: false },
  lag: ['age'],
  transactions: false,
  headers: true,
  ids: true,
  balancing: 'lease',
  admin: ['create', 'delete', 'describe', 'list', 'retention'],
}

/** What a topic takes; `maxRecordBytes` is the stream's own, 1 MiB to 10. */
const kinesisLimits: Limits = {
  maxRecordBytes: 1_048_576,
  maxBatchRecords: 500,
  maxBatchBytes: 4 * 1024 * 1024,
  maxKeyBytes: 256,
  maxHeaders: 64,
  maxHeaderValueBytes: 1_024,
}
/** Records that aggregates take up, at most, before they are written. */
const mostAggregated = 10_000

/** One connection to Kinesis, and to DynamoDB for leases, and everything that is open on it. */
export class KinesisDriver implements Driver {
  readonly specVersion: typeof specVersion = specVersion
  readonly name = 'kinesis'
  readonly server: string
  readonly capabilities: Capabilities
  readonly limits: Limits
  readonly admin: DriverAdmin
  readonly #config: KinesisConfig
  readonly #context: OpenContext
  readonly #clients: Clients
  readonly #calls: Calls
  readonly #tableCalls: Calls
  readonly #streams: Streams
  readonly #groups: Groups
  readonly #consumers: FanOutConsumers
  readonly #opened: Opened
  readonly #memberships = new Map<Membership, string>()

  private constructor(config: KinesisConfig, context: OpenContext, clients: Clients, calls: Calls, time: ServerTime) {
    const { clock } = context
    const streamsContext = { client: clients.kinesis, calls, config, clock }
    // Of other connections, over HTTP/1.1.
    const tableCalls = new Calls(clock, config.requestTimeoutMs)
    const tables = new LeaseTables({ client: clients.dynamo, calls: tableCalls, config, clock })
    this.#config = config
    this.#opened = new Opened(config.safe)
    this.#context = context
    this.#clients = clients
    this.#calls = calls
    this.#tableCalls = tableCalls
    this.#streams = new Streams(streamsContext)
    this.#consumers = new FanOutConsumers(streamsContext)
    this.#groups = new Groups({
      client: clients.dynamo,
      calls: tableCalls,
      kinesis: clients.kinesis,
      kinesisCalls: calls,
      tables,
      bound: context.leaseStore,
      time,
      clock,
      failoverMs: config.failoverMs,
    })
    this.server = `Amazon Kinesis Data Streams${config.endpoint === undefined ? '' : ` at ${config.endpoint}`}`
    this.capabilities = {
      ...kinesisCapabilities,
      requestOrder: config.aggregation ? 'kept' : 'none',
      headers: config.encoding !== 'raw',
      ids: config.encoding !== 'raw',
      emptyKey: config.encoding !== 'raw',
    }
    this.limits = {
      ...kinesisLimits,
      maxBatchRecords: config.aggregation ? mostAggregated : kinesisLimits.maxBatchRecords,
    }
    this.admin = new KinesisAdmin({
      ...streamsContext,
      streams: this.#streams,
      groups: this.#groups,
      consumers: this.#consumers,
      time,
      onChange: (topic) => this.#refresh(topic),
    })
  }

  /** Rejects when the service cannot be reached, or does not know us. Leases are looked at only when a group needs them. */
  static async open(config: KinesisConfig, context: OpenContext): Promise<KinesisDriver> {
    const clients = openClients(config)
    const calls = new Calls(context.clock, config.requestTimeoutMs, () => clients.distrust())
    const time = new ServerTime(context.clock)
    time.listen(clients.kinesis)
    try {
      const where = config.endpoint ?? `Kinesis in ${config.region ?? 'the region of the environment'}`
      const ask = async (): Promise<unknown> =>
        calls.run({ operation: `connect to ${where}`, signal: context.signal }, (abortSignal) =>
          clients.kinesis.send(new ListStreamsCommand({ Limit: 1 }), { abortSignal }),
        )
      await ask().catch((error: unknown) => {
        if (error instanceof StreamError && isClockOff(error.cause)) return ask()
        throw error
      })
    } catch (error) {
      // Whoever may not list streams, or too often, was answered all the same.
      if (!StreamError.is(error, 'permission-denied') && !StreamError.is(error, 'throttled')) {
        clients.close()
        throw error
      }
    }
    return new KinesisDriver(config, context, clients, calls, time)
  }

  async openTopic(name: string, signal: AbortSignal): Promise<DriverTopic> {
    this.#opened.refuseClosed('open a topic')
    if (signal.aborted) throw StreamError.aborted(signal, `open topic "${name}"`)
    const view = await TopicView.open(this.#streams, name, signal)
    const limits = { ...this.limits, maxRecordBytes: view.info.maxRecordBytes }
    return openedTopic({
      name,
      order: 'key',
      limits,
      measure: (record) => measureRecord(this.#config.encoding, record),
      comparePositions,
      producer: () => this.#producer(view),
      subscribe: (options, subscribeSignal) => this.#subscribe(view, options, subscribeSignal),
    })
  }

  check(signal: AbortSignal): Promise<void> {
    return this.#groups.check(signal)
  }

  toStreamError(error: unknown, context: ErrorContext): StreamError {
    return toStreamError(error, context)
  }

  /** The `KinesisClient`. */
  native(): unknown {
    return this.#clients.kinesis
  }

  close(): Promise<void> {
    return this.#opened.close(() => {
      for (const calls of [this.#calls, this.#tableCalls]) calls.close()
      this.#clients.close()
    })
  }

  #producer(topic: TopicView): DriverProducer {
    const { clock, random } = this.#context
    const context = {
      client: this.#clients.kinesis,
      calls: this.#calls,
      topic,
      hot: new HotShards(clock, random),
      packing: this.#config,
    }
    return this.#opened.add('make a producer', (onClosed) => new KinesisProducer({ ...context, onClosed }))
  }

  async #subscribe(topic: TopicView, options: SubscribeOptions, signal: AbortSignal): Promise<Source> {
    this.#opened.refuseClosed('subscribe')
    const { clock, logger, random } = this.#context
    const context: SourceContext = {
      client: this.#clients.kinesis,
      calls: this.#calls,
      config: this.#config,
      clock,
      logger,
      random,
      topic,
      groups: this.#groups,
      fanOut: await this.#fanOut(topic, options.group, signal),
    }
    const source = this.#opened.add('subscribe', (onClosed) => new KinesisSource(context, options, onClosed))
    try {
      const beginning = await this.#groups.beginningOf(options.start, topic, signal)
      const membership = membershipOf(context, options, beginning, source, (left) => this.#memberships.delete(left))
      if (options.group !== undefined) this.#memberships.set(membership, topic.name)
      await source.start(membership)
      return source
    } catch (error) {
      await source.close()
      throw error
    }
  }

  /** A group has a consumer of its own; whoever reads without one polls, because consumers are paid for by the hour. */
  async #fanOut(topic: TopicView, group: string | undefined, signal: AbortSignal): Promise<SourceContext['fanOut']> {
    if (this.#config.mode === 'polling' || group === undefined) return undefined
    const ensure = (ensuring: AbortSignal): Promise<string> => this.#consumers.ensure(topic.info, group, ensuring)
    return { arn: await ensure(signal), ensure, subscriber: () => this.#clients.subscriber() }
  }

  #refresh(topic: string): void {
    for (const [membership, of] of this.#memberships) if (of === topic) membership.refresh()
  }
}
