import { Opened, openedTopic, specVersion, StreamError } from '@sluice/driver'
import type {
  Capabilities,
  Driver,
  DriverAdmin,
  DriverProducer,
  DriverTopic,
  ErrorContext,
  LeaseStore,
  Limits,
  OpenContext,
  Source,
  SubscribeOptions,
} from '@sluice/driver'
import type { Membership } from '@sluice/lease'
import { Acks, mostTogether, storesTogether } from './acks.ts'
import { NatsAdmin } from './admin.ts'
import { comparePositions, measureRecord } from './codec.ts'
import type { NatsConfig } from './config.ts'
import { Connection } from './connection.ts'
import { membershipOf, NatsLogSource } from './consumer.ts'
import type { LogSourceContext } from './consumer.ts'
import { Durables } from './durables.ts'
import { toStreamError } from './errors.ts'
import { Groups } from './groups.ts'
import { LeaseGroups } from './lease-groups.ts'
import { BucketLeaseStore } from './leases.ts'
import { NatsProducer, sendsBehind } from './producer.ts'
import { NatsQueueSource } from './queue-source.ts'
import { Store } from './store.ts'
import { TopicView } from './topic.ts'
import { Topics } from './topics.ts'

/** What JetStream can do, as this adapter uses it; `requestOrder` follows the server, `dedup` and `persistent` the address. */
export const natsCapabilities: Capabilities = {
  shapes: { key: 'log', none: 'queue' },
  persistent: true,
  embedded: false,
  // Of messages sent at once one can be lost, at a change of leaders, and later ones not, where nothing ties them.
  requestOrder: 'none',
  dedup: { windowMs: 120_000 },
  receiptPosition: true,
  explicitPartition: true,
  positions: 'comparable',
  emptyKey: true,
  start: ['earliest', 'latest', 'time', 'position'],
  seek: ['earliest', 'latest', 'time', 'position'],
  seekLive: true,
  attempts: 'durable',
  retryDelay: true,
  repartition: 'any',
  // The server takes no age under 100 ms.
  retention: { minMs: 100, maxMs: Infinity, defaultMs: Infinity, bytes: true },
  lag: ['messages', 'age'],
  transactions: false,
  headers: true,
  ids: true,
  balancing: 'lease',
  admin: ['create', 'delete', 'describe', 'list', 'retention'],
}

/** What a topic takes; `maxRecordBytes` is the smaller of the server's max_payload and the stream's max_msg_size. */
const natsLimits: Omit<Limits, 'maxRecordBytes'> = {
  maxBatchRecords: 5_000,
  maxBatchBytes: 16 * 1024 * 1024,
  // Between two requests of a key the server waits; and keys whose large records go in turn are under way at once only with room for several.
  usualBatchBytes: 8 * 1024 * 1024,
  maxKeyBytes: 1_024,
  maxHeaders: 64,
  maxHeaderValueBytes: 1_024,
}

/** One connection to NATS, and everything that is open on it. */
export class NatsDriver implements Driver {
  readonly specVersion: typeof specVersion = specVersion
  readonly name = 'nats'
  readonly server: string
  readonly capabilities: Capabilities
  readonly limits: Limits
  readonly admin: DriverAdmin
  readonly #config: NatsConfig
  readonly #context: OpenContext
  readonly #connection: Connection
  readonly #acks: Acks
  readonly #topics: Topics
  readonly #groups: Groups
  readonly #durables: Durables
  readonly #leases: LeaseStore
  readonly #opened: Opened
  readonly #memberships = new Map<Membership, string>()

  private constructor(config: NatsConfig, context: OpenContext, connection: Connection) {
    const store = new Store(connection, config)
    this.#config = config
    this.#opened = new Opened(config.safe)
    this.#context = context
    this.#connection = connection
    this.#acks = new Acks(connection, context.clock)
    this.#topics = new Topics(connection, store, config, context.clock)
    this.#groups = new Groups(connection, store, context.clock)
    this.#durables = new Durables(connection, this.#groups, config)
    this.#leases = context.leaseStore ?? new BucketLeaseStore(store)
    this.server = `nats-server ${connection.client.info?.version ?? 'of an unknown version'}`
    const together = storesTogether(connection)
    const maxBatchRecords = together ? mostTogether : natsLimits.maxBatchRecords
    this.limits = { ...natsLimits, maxBatchRecords, maxRecordBytes: connection.largestPayload }
    this.capabilities = {
      ...natsCapabilities,
      requestOrder: together || connection.takesConditions ? 'kept' : 'none',
      persistent: config.storage === 'file',
      dedup: { windowMs: config.dedupMs },
    }
    const { clock } = context
    this.admin = new NatsAdmin({
      connection,
      topics: this.#topics,
      groups: this.#groups,
      durables: this.#durables,
      leaseGroups: new LeaseGroups({
        groups: this.#groups,
        leases: this.#leases,
        failoverMs: config.failoverMs,
        clock,
      }),
      clock,
      onChange: (topic) => this.#refresh(topic),
    })
  }

  /** Connects; rejects when there is no server, no JetStream, or when we are not let in. */
  static async open(config: NatsConfig, context: OpenContext): Promise<NatsDriver> {
    return new NatsDriver(config, context, await Connection.open(config, context))
  }

  async openTopic(name: string, signal: AbortSignal): Promise<DriverTopic> {
    this.#opened.refuseClosed('open a topic')
    if (signal.aborted) throw StreamError.aborted(signal, `open topic "${name}"`)
    const view = await this.#mapped('open', name, () => TopicView.open(this.#topics, name))
    const maxRecordBytes = Math.min(this.limits.maxRecordBytes, view.maxMessageBytes ?? Infinity)
    const limits = { ...this.limits, maxRecordBytes }
    return openedTopic({
      name,
      order: view.info.order,
      limits,
      requestOrder: view.storesTogether || sendsBehind(this.#connection, view) ? 'kept' : 'none',
      measure: measureRecord,
      comparePositions,
      producer: () => this.#producer(view, limits),
      subscribe: (options) => this.#mapped('subscribe', name, () => this.#subscribe(view, options)),
    })
  }

  toStreamError(error: unknown, context: ErrorContext): StreamError {
    return toStreamError(error, context)
  }

  /** The `NatsConnection`. */
  native(): unknown {
    return this.#connection.client
  }

  close(): Promise<void> {
    return this.#opened.close(() => {
      this.#acks.close()
      return this.#connection.close()
    })
  }

  #producer(view: TopicView, limits: Limits): DriverProducer {
    const context = {
      connection: this.#connection,
      acks: this.#acks,
      topics: this.#topics,
      topic: view,
      clock: this.#context.clock,
      maxRecordBytes: limits.maxRecordBytes,
      requestTimeoutMs: this.#config.requestTimeoutMs,
    }
    return this.#opened.add('make a producer', (onClosed) => new NatsProducer({ ...context, onClosed }))
  }

  async #subscribe(view: TopicView, options: SubscribeOptions): Promise<Source> {
    this.#opened.refuseClosed('subscribe')
    await view.refresh()
    if (view.info.order === 'none' && options.group !== undefined) {
      return this.#queueSource(view, options.group, options)
    }
    const { random } = this.#context
    const context: LogSourceContext = {
      ...this.#ports(),
      random,
      topic: view,
      groups: this.#groups,
      leases: this.#leases,
      failoverMs: this.#config.failoverMs,
    }
    const source = this.#opened.add('subscribe', (onClosed) => new NatsLogSource(context, options, onClosed))
    try {
      const membership = membershipOf(context, options, source, (left) => this.#memberships.delete(left))
      if (options.group !== undefined) this.#memberships.set(membership, view.name)
      await source.start(membership)
      return source
    } catch (error) {
      await source.close()
      throw error
    }
  }

  async #queueSource(view: TopicView, group: string, options: SubscribeOptions): Promise<Source> {
    const context = {
      ...this.#ports(),
      topic: view,
      group,
      durables: this.#durables,
      durable: await this.#durables.join(view, group, options.start),
      requestTimeoutMs: this.#config.requestTimeoutMs,
      events: options.events,
    }
    return this.#opened.add('subscribe', (onClosed) => new NatsQueueSource({ ...context, onClosed }))
  }

  #ports(): Pick<OpenContext, 'clock' | 'logger'> & { readonly connection: Connection } {
    const { clock, logger } = this.#context
    return { connection: this.#connection, clock, logger }
  }

  #refresh(topic: string): void {
    for (const [membership, of] of this.#memberships) if (of === topic) membership.refresh()
  }

  async #mapped<T>(operation: string, topic: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (cause) {
      throw this.#connection.lost ?? toStreamError(cause, { operation, topic })
    }
  }
}
