import type { DriverAdmin } from './admin.ts'
import type { Capabilities, Limits, TopicOrder } from './capabilities.ts'
import type { Source, SubscribeOptions } from './consumer.ts'
import type { StreamError } from './errors.ts'
import type { Clock, Logger, Random } from './ports.ts'
import type { LeaseStore } from './lease-store.ts'
import type { DriverProducer } from './producer.ts'
import type { OutgoingRecord, Position } from './record.ts'

/** The version of this contract. Core refuses a driver of another version and says which to install. */
export const specVersion = 1

/** What a native error happened in, for its message. */
export interface ErrorContext {
  readonly operation: string
  readonly topic?: string
  readonly group?: string
}

/** A backend's address: `scheme:path` or `scheme://host/path`, with options behind `?`. */
export interface BackendUrl {
  readonly scheme: string
  /** Everything between the scheme and `?`, without the `//`, percent-decoded; may be empty. Holds no secret. */
  readonly path: string
  /** The whole address, secrets and all. For the vendor SDK only, never for a message. */
  readonly href: string
  /** The address with user, password and secret-looking options taken out: for messages and logs. */
  readonly safe: string
  readonly options: Readonly<Record<string, string>>
}

/** What core gives an adapter to open a backend with. */
export interface OpenContext {
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
  /** A store the user bound; the adapter's own otherwise. An adapter that stores leases and progress in one transaction keeps its own. */
  readonly leaseStore: LeaseStore | undefined
  readonly signal: AbortSignal
}

/** Opens backends of one scheme. Bound to `tokens.Adapter` by the adapter's `ContainerModule`. */
export interface Adapter {
  readonly specVersion: typeof specVersion
  /** Without the colon: `local`, `nats`. */
  readonly scheme: string
  /** Resolves once the backend answered. Unknown options are `invalid-argument` and name the nearest known one. */
  open(url: BackendUrl, context: OpenContext): Promise<Driver>
}

/** One connection to a backend. */
export interface Driver {
  readonly specVersion: typeof specVersion
  /** The scheme it was opened by. */
  readonly name: string
  /** What answers, and its version, for people: `nats-server 2.15.2`. */
  readonly server: string
  readonly capabilities: Capabilities
  /** Limits of a topic that is made now; those of an existing one are `DriverTopic.limits`. */
  readonly limits: Limits
  readonly admin: DriverAdmin
  /** Rejects with `not-found` when the topic does not exist. */
  openTopic(name: string, signal: AbortSignal): Promise<DriverTopic>
  /** Asks what `open` has not asked and consumers need; rejects with what is wrong. Without it, `open` has asked everything. */
  check?(signal: AbortSignal): Promise<void>
  /** Maps a native error to the closed set. Pure. */
  toStreamError(error: unknown, context: ErrorContext): StreamError
  /** The vendor SDK's client: the escape hatch. */
  native(): unknown
  /** Idempotent; closes every topic, producer and source. */
  close(): Promise<void>
}

/** One opened topic. */
export interface DriverTopic {
  readonly name: string
  readonly order: TopicOrder
  readonly limits: Limits
  /** Where it is not what the capabilities say: a topic that was made by others, or by an older server. */
  readonly requestOrder?: Capabilities['requestOrder']
  /** Bytes of the record as the backend counts them against its limits. Pure and cheap. */
  measure(record: OutgoingRecord): number
  /** Orders two positions of one partition: negative when `a` comes first. Pure. Throws `unsupported` without comparable positions. */
  comparePositions(a: Position, b: Position): number
  producer(signal: AbortSignal): Promise<DriverProducer>
  subscribe(options: SubscribeOptions, signal: AbortSignal): Promise<Source>
}
