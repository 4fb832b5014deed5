import { realpath } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Opened, openedTopic, specVersion, StreamError, untilAborted } from '@sluice/driver'
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
  Timer,
} from '@sluice/driver'
import { LocalAdmin } from './admin.ts'
import { measureRecord } from './codec.ts'
import type { LocalConfig } from './config.ts'
import { LocalLogSource } from './consumer.ts'
import { comparePositions } from './position.ts'
import { toStreamError } from './errors.ts'
import { AloneMembership, GroupMembership } from './membership.ts'
import { LocalProducer } from './producer.ts'
import { LocalQueueSource } from './queue-source.ts'
import type { AppendOptions } from './requests.ts'
import type { StoreClient } from './store/client.ts'
import { ownerName, thisHost } from './store/owners.ts'
import type { StoreRegistry, StoreShare } from './store/registry.ts'
import { TopicView } from './topic.ts'
import { transact } from './transact.ts'

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
  retention: { minMs: 1, maxMs: Infinity, defaultMs: Infinity, bytes: true },
  lag: ['messages', 'age'],
  transactions: true,
  headers: true,
  ids: true,
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
  readonly server: string = `SQLite ${process.versions['sqlite'] ?? ''} in Node ${process.versions.node}`
  readonly capabilities: Capabilities
  readonly limits: Limits
  readonly admin: DriverAdmin
  readonly #config: LocalConfig
  readonly #context: OpenContext
  readonly #share: StoreShare
  readonly #host: string
  readonly #opened: Opened
  readonly #memberships = new Set<GroupMembership>()
  #sweepTimer: Timer | undefined
  #owners = 0

  private constructor(config: LocalConfig, context: OpenContext, share: StoreShare) {
    this.name = config.scheme
    this.capabilities = config.scheme === 'memory' ? { ...localCapabilities, persistent: false } : localCapabilities
    this.limits = { ...localLimits, maxRecordBytes: config.maxRecordBytes }
    this.#config = config
    this.#opened = new Opened(config.safe)
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
    const operation = `open ${config.safe}`
    const aborted = (): StreamError => StreamError.aborted(context.signal, operation)
    if (context.signal.aborted) throw aborted()
    const folder = config.scheme === 'local' ? resolve(config.path) : undefined
    const { durability, busyMs, maxPages } = config
    const key = await shareKey(config, folder)
    const opening = registry.acquire(key, { folder, durability, busyMs, maxPages }, { operation })
    const share = await untilAborted(opening, context.signal, aborted).catch(async (error: unknown) => {
      // Whoever gave up does not get the share when it comes after all.
      void opening.then((late) => late.release()).catch(() => undefined)
      throw error
    })
    const driver = new LocalDriver(config, context, share)
    driver.#sweepLater()
    return driver
  }

  async openTopic(name: string, signal: AbortSignal): Promise<DriverTopic> {
    this.#opened.refuseClosed('open a topic')
    if (signal.aborted) throw StreamError.aborted(signal, `open topic "${name}"`)
    const view = await TopicView.open(this.#client, name)
    return openedTopic({
      name,
      order: view.order,
      limits: this.limits,
      measure: measureRecord,
      comparePositions,
      producer: () => this.#producer(view, this.limits),
      subscribe: (options) => this.#subscribe(view, options),
    })
  }

  toStreamError(error: unknown, context: ErrorContext): StreamError {
    return toStreamError(error, context)
  }

  /** The store, for the profiles. */
  get store(): StoreClient {
    return this.#client
  }

  /** The thread that has the file open. */
  native(): unknown {
    return this.#client.worker
  }

  close(): Promise<void> {
    this.#sweepTimer?.cancel()
    return this.#opened.close(() => this.#share.release())
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
      atomic: false,
      operation,
    }
  }

  async #producer(view: TopicView, limits: Limits): Promise<DriverProducer> {
    const append = this.#append(`send to topic "${view.name}"`)
    return this.#opened.add(
      'make a producer',
      (onClosed) => new LocalProducer({ topic: view, limits, append, onClosed }),
    )
  }

  async #subscribe(view: TopicView, options: SubscribeOptions): Promise<Source> {
    this.#opened.refuseClosed('subscribe')
    await view.refresh()
    if (view.info.order === 'none' && options.group !== undefined)
      return this.#queueSource(view, options.group, options)
    const { group, events } = options
    const context = { client: this.#client, topic: view, group, events }
    const source = this.#opened.add('subscribe', (onClosed) => new LocalLogSource({ ...context, onClosed }))
    try {
      await source.start(
        group === undefined
          ? new AloneMembership({
              client: this.#client,
              topic: view,
              start: options.start,
              reader: source,
              clock: this.#context.clock,
              logger: this.#context.logger,
              everyMs: this.#config.failoverMs,
            })
          : this.#groupMembership(view, group, options, source),
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
    const source = {
      client: this.#client,
      topic: view,
      group,
      leaseMs: this.#config.leaseMs,
      events: options.events,
      leave: () => this.#leave(view, group, owner),
    }
    return this.#opened.add('subscribe', (onClosed) => new LocalQueueSource({ ...source, onClosed }))
  }

  #groupMembership(view: TopicView, group: string, options: SubscribeOptions, reader: LocalLogSource): GroupMembership {
    const { clock, random, logger } = this.#context
    const owner = this.#owner(options.member)
    const membership = new GroupMembership({
      client: this.#client,
      topic: view,
      group,
      owner,
      host: this.#host,
      start: options.start,
      failoverMs: this.#config.failoverMs,
      clock,
      random,
      logger,
      events: options.events,
      reader,
      transact: (records, commits, signal) =>
        transact(records, { ...this.#append('transaction'), commits, atomic: true }, signal),
      leave: () => this.#leave(view, group, owner),
      onClosed: () => this.#memberships.delete(membership),
    })
    this.#memberships.add(membership)
    return membership
  }

  #leave(view: TopicView, group: string, owner: string): Promise<void> {
    const request = { topicId: view.info.id, group, owner }
    const context = { operation: 'leave', topic: view.name, group }
    return this.#share.tidy((client) => client.call('leave', request, context))
  }

  #owner(member: string): string {
    const nonce = `${this.#owners++}-${Math.floor(this.#context.random() * 2 ** 32).toString(36)}`
    return ownerName(this.#host, process.pid, nonce, member)
  }

  #sweepLater(): void {
    this.#sweepTimer = this.#context.clock.after(this.#config.sweepMs, () => void this.#sweep(), true)
  }

  async #sweep(): Promise<void> {
    try {
      const now = this.#context.clock.now()
      while (!this.#opened.closed && (await this.#client.call('sweep', now, { operation: 'apply retention' })));
    } catch (error) {
      if (this.#opened.closed) return
      this.#context.logger.warn({ error }, 'retention could not be applied; it is tried again')
    }
    if (!this.#opened.closed) this.#sweepLater()
  }
}

/** Connections with equal keys share a store. */
async function shareKey(config: LocalConfig, folder: string | undefined): Promise<string | undefined> {
  if (folder === undefined) return config.path === '' ? undefined : `memory:${config.path}`
  const real = await realpath(folder).catch(() => folder)
  return JSON.stringify([real, config.durability, config.busyMs, config.maxPages])
}
