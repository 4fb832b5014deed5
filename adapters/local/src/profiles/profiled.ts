import { noPartition, StreamError } from '@sluice/driver'
import type {
  Capabilities,
  Clock,
  Driver,
  DriverAdmin,
  DriverProducer,
  DriverTopic,
  ErrorContext,
  IncomingRecord,
  Limits,
  LogSource,
  OutgoingRecord,
  Position,
  QueuedRecord,
  QueueSource,
  Source,
  specVersion,
  SubscribeOptions,
  TopicOrder,
} from '@sluice/driver'
import type { ProfileName } from '../config.ts'
import { ProfiledAdmin } from './admin.ts'
import { ProfiledProducer } from './producers.ts'
import { QueueOverLog } from './queue-over-log.ts'
import { checkStart } from './start.ts'
import type { ProfileSupport } from './support.ts'

const mebibyte = 1024 * 1024

/** What the profiles need besides the driver they change. */
export interface ProfileContext {
  readonly names: readonly ProfileName[]
  readonly clock: Clock
  readonly leaseMs: number
  readonly support: ProfileSupport
}

/** What is left of the capabilities under the profiles. */
function profiledCapabilities(base: Capabilities, names: readonly ProfileName[]): Capabilities {
  let left = base
  for (const name of names) left = { ...left, ...change(name, left) }
  return left
}

function change(name: ProfileName, base: Capabilities): Partial<Capabilities> {
  const withoutPosition = { start: without(base.start, 'position'), seek: without(base.seek, 'position') }
  const queue: Partial<Capabilities> = {
    ...withoutPosition,
    shapes: { key: 'queue', none: 'queue' },
    positions: 'none',
    receiptPosition: false,
    explicitPartition: false,
    repartition: false,
    transactions: false,
  }
  const changes: Readonly<Record<ProfileName, Partial<Capabilities>>> = {
    'no-positions': queue,
    'ordered-queue': { ...queue, retryDelay: false },
    partial: { requestOrder: 'none' },
    ambiguous: { dedup: false },
    'ambiguous-dedup': {},
    small: { transactions: false, seekLive: false, lag: ['age'], explicitPartition: false, emptyKey: false },
  }
  return changes[name]
}

function without<T>(all: readonly T[], one: T): readonly T[] {
  return all.filter((each) => each !== one)
}

/** A driver that can less than the one inside. */
export class ProfiledDriver implements Driver {
  readonly specVersion: typeof specVersion
  readonly name: string
  readonly server: string
  readonly capabilities: Capabilities
  readonly limits: Limits
  readonly admin: DriverAdmin
  readonly #inner: Driver
  readonly #context: ProfileContext

  constructor(inner: Driver, context: ProfileContext) {
    this.specVersion = inner.specVersion
    this.name = inner.name
    this.server = inner.server
    this.limits = limitsUnder(inner.limits, context.names)
    this.capabilities = profiledCapabilities(inner.capabilities, context.names)
    this.admin = new ProfiledAdmin(inner.admin, this.capabilities, context.support)
    this.#inner = inner
    this.#context = context
  }

  async openTopic(name: string, signal: AbortSignal): Promise<DriverTopic> {
    return new ProfiledTopic(await this.#inner.openTopic(name, signal), this.capabilities, this.#context)
  }

  toStreamError(error: unknown, context: ErrorContext): StreamError {
    return this.#inner.toStreamError(error, context)
  }

  native(): unknown {
    return this.#inner.native()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

function limitsUnder(limits: Limits, names: readonly ProfileName[]): Limits {
  return names.includes('small') ? smallLimits(limits) : limits
}

class ProfiledTopic implements DriverTopic {
  readonly name: string
  readonly order: TopicOrder
  readonly limits: Limits
  readonly #inner: DriverTopic
  readonly #capabilities: Capabilities
  readonly #context: ProfileContext

  constructor(inner: DriverTopic, capabilities: Capabilities, context: ProfileContext) {
    this.name = inner.name
    this.order = inner.order
    this.limits = limitsUnder(inner.limits, context.names)
    this.#inner = inner
    this.#capabilities = capabilities
    this.#context = context
  }

  measure(record: OutgoingRecord): number {
    return this.#inner.measure(record)
  }

  comparePositions(a: Position, b: Position): number {
    if (this.#capabilities.positions === 'comparable') return this.#inner.comparePositions(a, b)
    throw new StreamError('unsupported', 'this profile has no positions to compare')
  }

  async producer(signal: AbortSignal): Promise<DriverProducer> {
    const { names } = this.#context
    return new ProfiledProducer(await this.#inner.producer(signal), this, this.#capabilities, {
      partial: names.includes('partial'),
      ambiguous: names.includes('ambiguous') || names.includes('ambiguous-dedup'),
    })
  }

  async subscribe(options: SubscribeOptions, signal: AbortSignal): Promise<Source> {
    checkStart(options.start, this.#capabilities.start)
    const asQueue = this.#capabilities.shapes.key === 'queue' && this.order === 'key'
    if (asQueue && options.group !== undefined) return this.#subscribeQueue(options, options.group, signal)
    return this.#conceal(await this.#inner.subscribe(options, signal))
  }

  async #subscribeQueue(options: SubscribeOptions, group: string, signal: AbortSignal): Promise<Source> {
    const { clock, leaseMs, names, support } = this.#context
    const { retryDelay } = this.#capabilities
    const acks = await support.earlyAcks(this.name, group)
    const behaviour = { clock, leaseMs, ordered: names.includes('ordered-queue'), retryDelay, acks }
    const queue = new QueueOverLog(behaviour, (error) => options.events.failed(error))
    const log = await this.#inner.subscribe({ ...options, events: queue }, signal)
    if (log.shape === 'log') queue.attach(log)
    return queue
  }

  #conceal(source: Source): Source {
    const { positions, transactions } = this.#capabilities
    if (source.shape === 'queue') return positions === 'none' ? new QueueWithoutPositions(source) : source
    return transactions && positions === 'comparable' ? source : new PlainLog(source, positions === 'none')
  }
}

function smallLimits(limits: Limits): Limits {
  return {
    ...limits,
    maxRecordBytes: Math.min(limits.maxRecordBytes, mebibyte),
    maxBatchRecords: 500,
    maxBatchBytes: mebibyte,
  }
}

/** A log source without transactions, and without positions when told so. */
class PlainLog implements LogSource {
  readonly shape = 'log'
  readonly #inner: LogSource
  readonly #withoutPositions: boolean
  readonly commit: LogSource['commit']
  readonly pause: LogSource['pause']
  readonly resume: LogSource['resume']
  readonly rewind: LogSource['rewind']
  readonly close: LogSource['close']

  constructor(inner: LogSource, withoutPositions: boolean) {
    this.#inner = inner
    this.#withoutPositions = withoutPositions
    this.commit = (commits, signal) => inner.commit(commits, signal)
    this.pause = (partitions) => inner.pause(partitions)
    this.resume = (partitions) => inner.resume(partitions)
    this.rewind = (partition, at) => inner.rewind(partition, at)
    this.close = () => inner.close()
  }

  async poll(...[credit, signal]: Parameters<LogSource['poll']>): Promise<readonly IncomingRecord[]> {
    const records = await this.#inner.poll(credit, signal)
    return this.#withoutPositions
      ? records.map((record) => ({ ...record, position: undefined, partition: noPartition }))
      : records
  }
}

/** A queue source whose records do not say where they stand. */
class QueueWithoutPositions implements QueueSource {
  readonly shape = 'queue'
  readonly leaseMs: number
  readonly #inner: QueueSource
  readonly settle: QueueSource['settle']
  readonly extend: QueueSource['extend']
  readonly release: QueueSource['release']
  readonly close: QueueSource['close']

  constructor(inner: QueueSource) {
    this.leaseMs = inner.leaseMs
    this.#inner = inner
    this.settle = (items, signal) => inner.settle(items, signal)
    this.extend = (tokens, signal) => inner.extend(tokens, signal)
    this.release = (tokens, signal) => inner.release(tokens, signal)
    this.close = () => inner.close()
  }

  async pull(...[credit, signal]: Parameters<QueueSource['pull']>): Promise<readonly QueuedRecord[]> {
    const records = await this.#inner.pull(credit, signal)
    return records.map((record) => ({ ...record, position: undefined, partition: noPartition }))
  }
}
