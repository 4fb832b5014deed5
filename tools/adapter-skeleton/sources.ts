/** Names that the skeleton of an adapter is written with. */
export interface AdapterNames {
  /** The scheme and folder: `redis`. */
  readonly name: string
  /** The same as part of a type's name: `Redis`. */
  readonly type: string
}

/** The source files of a new adapter: the same in every adapter, so that readers find their way. */
export function sourceFiles(names: AdapterNames): Readonly<Record<string, string>> {
  return {
    'src/index.ts': index(names),
    'src/config.ts': config(names),
    'src/driver.ts': driver(names),
    'src/producer.ts': producer(names),
    'src/consumer.ts': consumer(names),
    'src/admin.ts': admin(names),
    'src/codec.ts': codec(),
    'src/errors.ts': errors(names),
  }
}

function index({ name, type }: AdapterNames): string {
  return `import { ContainerModule } from 'inversify'
import { specVersion, tokens } from '@sluice/driver'
import type { Adapter } from '@sluice/driver'
import { parseConfig } from './config.ts'
import { ${type}Driver } from './driver.ts'

const ${name}Adapter: Adapter = {
  specVersion,
  scheme: '${name}',
  open: (url, context) => ${type}Driver.open(parseConfig(url), context),
}

/** Binds the scheme \`${name}\`. */
export const adapter: ContainerModule = new ContainerModule(({ bind }) => {
  bind(tokens.Adapter).toConstantValue(${name}Adapter)
})

export { ${name}Capabilities } from './driver.ts'
`
}

function config({ name, type }: AdapterNames): string {
  return `import { nearest, StreamError } from '@sluice/driver'
import type { BackendUrl } from '@sluice/driver'

/** What an address of this adapter says. */
export interface ${type}Config {
  /** Host and port. */
  readonly host: string
  /** Gives up a request after this time, in milliseconds. */
  readonly requestTimeoutMs: number
}

const optionNames = ['requestTimeoutMs']

/** Reads an address. Throws \`invalid-argument\` for what it does not know. Pure. */
export function parseConfig(url: BackendUrl): ${type}Config {
  for (const name of Object.keys(url.options)) {
    if (optionNames.includes(name)) continue
    const guess = nearest(name, optionNames)
    const help = guess === undefined ? \`known are \${optionNames.join(', ')}\` : \`did you mean "\${guess}"?\`
    throw new StreamError('invalid-argument', \`\${url.safe} has an unknown option "\${name}"; \${help}\`)
  }
  const requestTimeoutMs = Number(url.options['requestTimeoutMs'] ?? 10_000)
  if (!(requestTimeoutMs > 0)) {
    throw new StreamError('invalid-argument', \`requestTimeoutMs of a ${name}: address must be a number above 0\`)
  }
  return { host: url.path, requestTimeoutMs }
}
`
}

function driver({ name, type }: AdapterNames): string {
  return `import { specVersion } from '@sluice/driver'
import type {
  Capabilities,
  Driver,
  DriverProducer,
  DriverTopic,
  ErrorContext,
  Limits,
  OpenContext,
  OutgoingRecord,
  Position,
  Source,
  StreamError,
  SubscribeOptions,
  TopicOrder,
} from '@sluice/driver'
import { ${type}Admin } from './admin.ts'
import { comparePositions, measureRecord } from './codec.ts'
import type { ${type}Config } from './config.ts'
import { subscribe } from './consumer.ts'
import { toStreamError } from './errors.ts'
import { ${type}Producer } from './producer.ts'

/** What the backend can do. Each line is a promise that the conformance suite holds it to, both ways. */
export const ${name}Capabilities: Capabilities = {
  shapes: { key: 'log', none: false },
  persistent: true,
  embedded: false,
  requestOrder: 'none',
  dedup: false,
  receiptPosition: false,
  explicitPartition: false,
  positions: 'none',
  emptyKey: false,
  start: ['earliest', 'latest'],
  seek: [],
  seekLive: false,
  attempts: 'process',
  retryDelay: false,
  repartition: false,
  retention: { minMs: 1, maxMs: Infinity, defaultMs: Infinity, bytes: false },
  lag: [],
  transactions: false,
  headers: true,
  ids: true,
  balancing: 'lease',
  admin: ['create', 'delete', 'describe', 'list'],
}

const limits: Limits = {
  maxRecordBytes: 1024 * 1024,
  maxBatchRecords: 500,
  maxBatchBytes: 4 * 1024 * 1024,
  maxKeyBytes: 256,
  maxHeaders: 64,
  maxHeaderValueBytes: 1024,
}

/** One connection. */
export class ${type}Driver implements Driver {
  readonly specVersion: typeof specVersion = specVersion
  readonly name = '${name}'
  readonly server = '${name}'
  readonly capabilities: Capabilities = ${name}Capabilities
  readonly limits: Limits = limits
  readonly admin: ${type}Admin
  readonly config: ${type}Config

  private constructor(config: ${type}Config) {
    this.config = config
    this.admin = new ${type}Admin()
  }

  /** Resolves once the backend answered. */
  static async open(config: ${type}Config, context: OpenContext): Promise<${type}Driver> {
    context.signal.throwIfAborted()
    return new ${type}Driver(config)
  }

  async openTopic(name: string, signal: AbortSignal): Promise<DriverTopic> {
    const { order } = await this.admin.describeTopic(name, signal)
    return new ${type}Topic(name, order)
  }

  toStreamError(error: unknown, context: ErrorContext): StreamError {
    return toStreamError(error, context)
  }

  native(): unknown {
    return undefined
  }

  async close(): Promise<void> {
    // Close the SDK's client here. Idempotent.
  }
}

class ${type}Topic implements DriverTopic {
  readonly name: string
  readonly order: TopicOrder
  readonly limits: Limits = limits

  constructor(name: string, order: TopicOrder) {
    this.name = name
    this.order = order
  }

  measure(record: OutgoingRecord): number {
    return measureRecord(record)
  }

  comparePositions(a: Position, b: Position): number {
    return comparePositions(a, b)
  }

  async producer(): Promise<DriverProducer> {
    return new ${type}Producer(this.name)
  }

  async subscribe(options: SubscribeOptions, signal: AbortSignal): Promise<Source> {
    return subscribe(this.name, options, signal)
  }
}
`
}

function producer({ type }: AdapterNames): string {
  return `import type { DriverProducer, OutgoingRecord, SendOutcome } from '@sluice/driver'
import { notWritten } from './errors.ts'

/** Sends requests to one topic. Never retries: that is core's. */
export class ${type}Producer implements DriverProducer {
  readonly #topic: string

  constructor(topic: string) {
    this.#topic = topic
  }

  async sendBatch(_records: readonly OutgoingRecord[], _signal: AbortSignal): Promise<readonly SendOutcome[]> {
    throw notWritten({ operation: 'send', topic: this.#topic })
  }

  async close(): Promise<void> {
    // Wait for the requests in flight here.
  }
}
`
}

function consumer(_names: AdapterNames): string {
  return `import type { Source, SubscribeOptions } from '@sluice/driver'
import { notWritten } from './errors.ts'

/** Joins the group, or reads alone without one. A log hands out partitions, a queue leases records. */
export async function subscribe(topic: string, options: SubscribeOptions, _signal: AbortSignal): Promise<Source> {
  throw notWritten({ operation: 'subscribe', topic, ...(options.group === undefined ? {} : { group: options.group }) })
}
`
}

function admin({ type }: AdapterNames): string {
  return `import { StreamError } from '@sluice/driver'
import type { DriverAdmin, PartitionLag, TopicDescription, TopicOrder, TopicSpec } from '@sluice/driver'
import { notWritten } from './errors.ts'

/** Looks after topics and groups. Replace the map by the backend's own calls. */
export class ${type}Admin implements DriverAdmin {
  readonly #topics = new Map<string, TopicOrder>()

  async createTopic(name: string, spec: TopicSpec, _signal: AbortSignal): Promise<'created' | 'exists'> {
    if (this.#topics.has(name)) return 'exists'
    this.#topics.set(name, spec.order ?? 'key')
    return 'created'
  }

  async describeTopic(name: string, _signal: AbortSignal): Promise<TopicDescription> {
    const order = this.#topics.get(name)
    if (order === undefined) throw new StreamError('not-found', \`topic "\${name}" does not exist; make it with createTopic\`)
    return { name, order, partitions: [], retentionMs: undefined, retentionBytes: undefined }
  }

  async listTopics(_signal: AbortSignal): Promise<readonly string[]> {
    return [...this.#topics.keys()]
  }

  async deleteTopic(name: string, signal: AbortSignal): Promise<void> {
    await this.describeTopic(name, signal)
    this.#topics.delete(name)
  }

  async setPartitions(topic: string): Promise<void> {
    throw notWritten({ operation: 'set partitions', topic })
  }

  async setRetention(topic: string): Promise<void> {
    throw notWritten({ operation: 'set retention', topic })
  }

  async listGroups(topic: string): Promise<readonly string[]> {
    throw notWritten({ operation: 'list groups', topic })
  }

  async deleteGroup(topic: string, group: string): Promise<void> {
    throw notWritten({ operation: 'delete group', topic, group })
  }

  async seek(topic: string, group: string): Promise<void> {
    throw notWritten({ operation: 'seek', topic, group })
  }

  async lag(topic: string, group: string): Promise<readonly PartitionLag[]> {
    throw notWritten({ operation: 'lag', topic, group })
  }
}
`
}

function codec(): string {
  return `import { StreamError } from '@sluice/driver'
import type { OutgoingRecord, Position } from '@sluice/driver'

/** Bytes of a record as the backend counts them against its limits. Pure. */
export function measureRecord(record: OutgoingRecord): number {
  let bytes = record.body.byteLength + Buffer.byteLength(record.key ?? '')
  for (const [name, value] of Object.entries(record.headers)) bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  return bytes
}

/** Orders two positions of one partition. Pure. */
export function comparePositions(_a: Position, _b: Position): number {
  throw new StreamError('unsupported', 'this backend has no positions to compare; see capabilities.positions')
}
`
}

function errors({ name }: AdapterNames): string {
  return `import { StreamError } from '@sluice/driver'
import type { ErrorContext } from '@sluice/driver'

/** Maps an error of the vendor's SDK to the closed set of codes, keeping it as the cause. Pure. */
export function toStreamError(error: unknown, context: ErrorContext): StreamError {
  return StreamError.from(error, \`${name}: \${context.operation} failed\`)
}

/** For what the skeleton leaves to be written; goes away with its last use. */
export function notWritten(context: ErrorContext): StreamError {
  return new StreamError('unsupported', \`${name}: \${context.operation} is not written yet\`, { details: { ...context } })
}
`
}
