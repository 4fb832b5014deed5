/** Points from which a group can start, or to which it can be moved. */
export type StartKind = 'earliest' | 'latest' | 'time' | 'position'

/** What a topic promises about order: per key, or none (competing consumers). */
export type TopicOrder = 'key' | 'none'

/** The two shapes in which a backend hands out records. */
export type SourceShape = 'log' | 'queue'

/** Operations of `DriverAdmin` that a backend may lack. */
export type AdminOperation = 'create' | 'delete' | 'describe' | 'list' | 'retention'

/**
 * What a backend can do, as data: read by users, by the documentation and by the conformance suite alike.
 * Known after `open`. A capability is a contract both ways: what it grants works, and what it denies is refused
 * with `unsupported` before any I/O.
 */
export interface Capabilities {
  /** How a topic of each order is read; `false`: the backend has no such topics. */
  readonly shapes: Readonly<Record<TopicOrder, SourceShape | false>>
  /** Acknowledged records survive the end of every process that uses the backend. */
  readonly persistent: boolean
  /** The backend lives in this process; nothing outside needs to run, and topics may be created on first use. */
  readonly embedded: boolean
  /**
   * What happens to several records of one key in one request. `kept`: stored in request order, and when one fails
   * all later ones of its key fail too. `none`: any subset may fail; core then sends one record per key and request.
   */
  readonly requestOrder: 'kept' | 'none'
  /** Sends repeated with the same id within the window are stored once. */
  readonly dedup: { readonly windowMs: number } | false
  /** Receipts carry the partition and position. */
  readonly receiptPosition: boolean
  /** `send({ partition })` is honoured. */
  readonly explicitPartition: boolean
  /** Positions of one partition can be compared and stored; `none`: records carry no position. */
  readonly positions: 'comparable' | 'none'
  /** The empty string is a key of its own. */
  readonly emptyKey: boolean
  /** Where a new group can start. */
  readonly start: readonly StartKind[]
  /** Where an existing group can be moved. */
  readonly seek: readonly StartKind[]
  /** Whether a group can be moved while members run; if not, `seek` is refused with `conflict` then. */
  readonly seekLive: boolean
  /** `durable`: delivery attempts are counted by the backend; `process`: by the consumer, from 1 after a restart. */
  readonly attempts: 'durable' | 'process'
  /** Queues only: the backend itself holds a retried record back for the delay asked for. */
  readonly retryDelay: boolean
  /** Whether the number of partitions can change: only up, to any number, or not at all. Key order is kept across it. */
  readonly repartition: 'grow' | 'any' | false
  /**
   * How long a topic can keep records, in milliseconds, both inclusive, `Infinity`: for ever; how long it does where nothing is said; and
   * whether a size can bound it too.
   */
  readonly retention: {
    readonly minMs: number
    readonly maxMs: number
    readonly defaultMs: number
    readonly bytes: boolean
  }
  /** In which units the backend can tell how far a group is behind. */
  readonly lag: readonly ('messages' | 'age')[]
  /** Outputs and offsets can be stored in one transaction. */
  readonly transactions: boolean
  /** Headers travel with records. */
  readonly headers: boolean
  /**
   * Records keep the id that their producer gave them, and no key stays none. False: what is stored is the key and the body
   * alone; whoever reads is given ids made of partition and position, and a record sent without a key may come with one.
   * Receipts and errors name the producer's id all the same.
   */
  readonly ids: boolean
  /** Who assigns partitions to members: the backend, or leases in a store. */
  readonly balancing: 'broker' | 'lease'
  /** What can be administered through this connection. */
  readonly admin: readonly AdminOperation[]
}

/** Limits of one opened topic, as the backend enforces them today. All inclusive. */
export interface Limits {
  /** Bytes of one record as `DriverTopic.measure` counts them: body, key, headers and envelope. */
  readonly maxRecordBytes: number
  /** Records of one request. */
  readonly maxBatchRecords: number
  /** Bytes of one request, the sum of `measure`. */
  readonly maxBatchBytes: number
  /** Bytes of one request that serve best, where the caller does not say how many. Default: 1 MiB, or `maxBatchBytes` where that is less. */
  readonly usualBatchBytes?: number
  /** UTF-8 bytes of a key. */
  readonly maxKeyBytes: number
  /** Headers a user may set on one record. */
  readonly maxHeaders: number
  /** UTF-8 bytes of one header value. */
  readonly maxHeaderValueBytes: number
}

/** The largest body that every backend takes, in bytes: what the conformance suite calls the portable maximum. */
export const portableBodyBytes: number = 256 * 1024 - 8 * 1024

/** The most headers, and the longest header value in bytes, that every backend takes. */
export const portableHeaders: { readonly count: number; readonly valueBytes: number } = { count: 64, valueBytes: 1024 }
