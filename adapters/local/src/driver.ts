import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { specVersion, StreamError } from '@sluice/driver'
import type {
  Capabilities,
  Driver,
  DriverAdmin,
  DriverProducer,
  DriverTopic,
  ErrorContext,
  Limits,
  OpenContext,
  OutgoingRecord,
  Position,
  Source,
  SubscribeOptions,
  Timer,
  TopicOrder,
} from '@sluice/driver'
import { LocalAdmin } from './admin.ts'
import { comparePositions, measureRecord } from './codec.ts'
import type { LocalConfig } from './config.ts'
import { LocalLogSource } from './consumer.ts'
import { toStreamError } from './errors.ts'
import { AloneMembership, GroupMembership } from './membership.ts'
import type { Transact } from './membership.ts'
import { LocalProducer, untilAborted } from './producer.ts'
import { LocalQueueSource } from './queue-source.ts'
import { appendAll } from './requests.ts'
import type { AppendOptions, TopicRecords } from './requests.ts'
import type { StoreClient } from './store/client.ts'
import { ownerName, thisHost } from './store/owners.ts'
import type { StoreRegistry, StoreShare } from './store/registry.ts'
import { TopicView } from './topic.ts'

/** What the local log can do: everything the contract knows. */
export const localCapabilities: Capabilities = {
  shapes: { key: 'log', none: 'queue' },
  persistent: true,
  embedded: true,
  requestOrder: 'kept',
  // What is kept at full speed; up to two minutes at less than 16 000 records a second.
  dedup: { windowMs: 10_000 },
  receiptPosition: true,
  explicitPartition: true,
  positions: 'comparable',
  emptyKey: true,
  start: ['earliest', 'latest', 'time', 'position'],
  seek: ['earliest', 'latest', 'time', 'position'],
  seekLive: true,
  attempts: 'process',
  retryDelay: true,
  repartition: 'any',
  lag: ['messages', 'age'],
  transactions: true,
  headers: true,
  balancing: 'lease',
  admin: ['create', 'delete', 'describe', 'list', 'retention'],
}

/** What a topic takes, `maxRecordBytes` apart. */
export const localLimits: Limits = {
  maxRecordBytes: 16 * 1024 * 1024,
  maxBatchRecords: 5000,
  maxBatchBytes: 32 * 1024 * 1024,
  maxKeyBytes: 4096,
  maxHeaders: 64,
  maxHeaderValueBytes: 1024,
}

/** One connection to a log in a folder or in memory. */
export class LocalDriver implements Driver {
  readonly specVersion: typeof specVersion = specVersion
  readonly name: string
  readonly capabilities: Capabilities
  readonly admin: DriverAdmin
  readonly #config: LocalConfig
  readonly #context: OpenContext
  readonly #share: StoreShare
  readonly #host: string
  readonly #closers = new Set<() => Promise<void>>()
  readonly #memberships = new Set<GroupMembership>()
  #sweepTimer: Timer | undefined
  #owners = 0
  #closing: Promise<void> | undefined

  private constructor(config: LocalConfig, context: OpenContext, share: StoreShare) {
    this.name = config.scheme
    this.capabilities = config.scheme === 'memory' ? { ...localCapabilities, persistent: false } : localCapabilities
    this.#config = config
    this.#context = context
    this.#share = share
    this.#host = thisHost()
    this.admin = new LocalAdmin({
      client: share.client,
      clock: context.clock,
      defaultPartitions: config.partitions,
      onChange: () => {
        for (const membership of this.#memberships) membership.refresh()
      },
    })
  }

  /** Opens the store, or a share of it when this process has it open. */
  static async open(config: LocalConfig, context: OpenContext, registry: StoreRegistry): Promise<LocalDriver> {
    if (context.signal.aborted) throw StreamError.aborted(context.signal, `open ${config.safe}`)
    const folder = config.scheme === 'local' ? resolve(config.path) : undefined
    const { durability, busyMs, maxPages } = config
    const share = await registry.acquire(
      await shareKey(config, folder),
      { folder, durability, busyMs, maxPages },
      { operation: `open ${config.safe}` },
    )
    const driver = new LocalDriver(config, context, share)
    driver.#sweepLater()
    return driver
  }

  async openTopic(name: string, signal: AbortSignal): Promise<DriverTopic> {
    this.#refuseClosed('open a topic')
    if (signal.aborted) throw StreamError.aborted(signal, `open topic "${name}"`)
    const view = await TopicView.open(this.#client, name)
    const limits = { ...localLimits, maxRecordBytes: this.#config.maxRecordBytes }
    return new LocalTopic(view, limits, {
      producer: () => this.#producer(view, limits),
      subscribe: (options) => this.#subscribe(view, options),
    })
  }

  toStreamError(error: unknown, context: ErrorContext): StreamError {
    return toStreamError(error, context)
  }

  /** Whether the group has members that are not known to be dead. */
  hasMembers(topic: string, group: string): Promise<boolean> {
    return this.#client.call('hasMembers', { topic, group }, { operation: 'look for members', topic, group })
  }

  /** The thread that has the file open. */
  native(): unknown {
    return this.#client.worker
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#sweepTimer?.cancel()
    await Promise.allSettled([...this.#closers].map((close) => close()))
    await this.#share.release()
  }

  get #client(): StoreClient {
    return this.#share.client
  }

  #append(operation: string): AppendOptions {
    const { clock } = this.#context
    return {
      client: this.#client,
      nowMs: () => clock.now(),
      dedup: !this.#config.profiles.includes('ambiguous'),
      commits: [],
      operation,
    }
  }

  async #producer(view: TopicView, limits: Limits): Promise<DriverProducer> {
    this.#refuseClosed('make a producer')
    const producer = new LocalProducer({ topic: view, limits, append: this.#append(`send to topic "${view.name}"`) })
    return this.#closeWithUs(producer)
  }

  async #subscribe(view: TopicView, options: SubscribeOptions): Promise<Source> {
    this.#refuseClosed('subscribe')
    await view.refresh()
    if (view.info.order === 'none' && options.group !== undefined)
      return this.#queueSource(view, options.group, options)
    const source = new LocalLogSource({
      client: this.#client,
      topic: view,
      group: options.group,
      events: options.events,
    })
    this.#closeWithUs(source)
    try {
      await source.start(
        options.group === undefined
          ? new AloneMembership({ client: this.#client, topic: view, start: options.start, reader: source })
          : this.#groupMembership(view, options.group, options, source),
      )
      return source
    } catch (error) {
      await source.close()
      throw error
    }
  }

  async #queueSource(view: TopicView, group: string, options: SubscribeOptions): Promise<Source> {
    const owner = this.#owner(options.member)
    const context = { operation: 'subscribe', topic: view.name, group }
    await this.#client.call('join', { topic: view.name, group, owner, start: options.start }, context)
    const { leaseMs } = this.#config
    return this.#closeWithUs(
      new LocalQueueSource({ client: this.#client, topic: view, group, owner, leaseMs, events: options.events }),
    )
  }

  #groupMembership(view: TopicView, group: string, options: SubscribeOptions, reader: LocalLogSource): GroupMembership {
    const { clock, random, logger } = this.#context
    const membership = new GroupMembership({
      client: this.#client,
      topic: view,
      group,
      owner: this.#owner(options.member),
      host: this.#host,
      start: options.start,
      failoverMs: this.#config.failoverMs,
      clock,
      random,
      logger,
      events: options.events,
      reader,
      transact: (records, commits, signal) => this.#transact(records, commits, signal),
      onClose: () => this.#memberships.delete(membership),
    })
    this.#memberships.add(membership)
    return membership
  }

  readonly #transact: Transact = async (records, commits, signal) => {
    const views = new Map<string, Promise<TopicView>>()
    for (const { topic } of records) if (!views.has(topic)) views.set(topic, TopicView.open(this.#client, topic))
    const topics = new Map<string, { topic: TopicView; records: OutgoingRecord[]; indexes: number[] }>()
    for (const [name, view] of views) topics.set(name, { topic: await view, records: [], indexes: [] })
    for (const [index, { topic, record }] of records.entries()) {
      topics.get(topic)?.records.push(record)
      topics.get(topic)?.indexes.push(index)
    }
    const outcomes: (Awaited<ReturnType<Transact>>[number] | undefined)[] = Array.from({ length: records.length })
    const each: readonly TopicRecords[] = [...topics.values()]
    const work = appendAll(each, outcomes, { ...this.#append('transaction'), commits }, this.#owners++)
    await untilAborted(work, signal, 'the transaction')
    return outcomes.filter((outcome) => outcome !== undefined)
  }

  #owner(member: string): string {
    const nonce = `${this.#owners++}-${Math.floor(this.#context.random() * 2 ** 32).toString(36)}`
    return ownerName(this.#host, process.pid, nonce, member)
  }

  #closeWithUs<T extends { close(): Promise<void> }>(opened: T): T {
    this.#closers.add(() => opened.close())
    return opened
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#context.clock.after(this.#config.sweepMs, () => void this.#sweep(), true)
  }

  async #sweep(): Promise<void> {
    try {
      const now = this.#context.clock.now()
      while (this.#closing === undefined && (await this.#client.call('sweep', now, { operation: 'apply retention' })));
    } catch (error) {
      if (this.#closing !== undefined) return
      this.#context.logger.warn({ error }, 'retention could not be applied; it is tried again')
    }
    if (this.#closing === undefined) this.#sweepLater()
  }

  #refuseClosed(what: string): void {
    if (this.#closing !== undefined)
      throw new StreamError('closed', `cannot ${what}: the connection to ${this.#config.safe} is closed`)
  }
}

interface TopicParts {
  producer(): Promise<DriverProducer>
  subscribe(options: SubscribeOptions): Promise<Source>
}

/** One opened topic. */
class LocalTopic implements DriverTopic {
  readonly name: string
  readonly order: TopicOrder
  readonly limits: Limits
  readonly #parts: TopicParts

  constructor(view: TopicView, limits: Limits, parts: TopicParts) {
    this.name = view.name
    this.order = view.info.order
    this.limits = limits
    this.#parts = parts
  }

  measure(record: OutgoingRecord): number {
    return measureRecord(record)
  }

  comparePositions(a: Position, b: Position): number {
    return comparePositions(a, b)
  }

  async producer(signal: AbortSignal): Promise<DriverProducer> {
    if (signal.aborted) throw StreamError.aborted(signal, `make a producer of topic "${this.name}"`)
    return this.#parts.producer()
  }

  async subscribe(options: SubscribeOptions, signal: AbortSignal): Promise<Source> {
    if (signal.aborted) throw StreamError.aborted(signal, `subscribe to topic "${this.name}"`)
    return this.#parts.subscribe(options)
  }
}

/** Connections with equal keys share a store. */
async function shareKey(config: LocalConfig, folder: string | undefined): Promise<string | undefined> {
  if (folder === undefined) return config.path === '' ? undefined : `memory:${config.path}`
  const real = await realpath(folder).catch(() => folder)
  return JSON.stringify([real, config.durability, config.busyMs, config.maxPages])
}
