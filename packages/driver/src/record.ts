declare const positionBrand: unique symbol

/**
 * Where a record stands in its partition. Opaque, a string so that it can be stored and printed; compare two
 * positions of one partition with `comparePositions`, never as text.
 */
export type Position = string & { readonly [positionBrand]: true }

/** Names a partition of one topic. Opaque. A backend without partitions uses {@link noPartition}. */
export type PartitionId = string

/** The partition of records from backends that have none. */
export const noPartition: PartitionId = '-'

/** Header names and values. Names are lower case; order carries no meaning. */
export type Headers = Readonly<Record<string, string>>

/** A record on its way to a backend: encoded, checked against the limits, ready to store. */
export interface OutgoingRecord {
  /** Unique id, a UUIDv7 made by the producer unless the caller gave one. Also the deduplication id where the backend has that. */
  readonly id: string
  /** The producer made the id for this record: no other one, older or newer, has it. Default false. */
  readonly idIsNew?: boolean
  /** Records with equal keys keep their order. `undefined`: no order. */
  readonly key: string | undefined
  /** The caller's headers plus Sluice's own (`content-type`, `traceparent`, `dlq-*`). */
  readonly headers: Headers
  /** The encoded value. May be empty. */
  readonly body: Uint8Array
  /** Wall clock when `send` was called, milliseconds since 1970. */
  readonly producedAtMs: number
  /** After this wall-clock time consumers skip the record. `undefined`: never. */
  readonly expiresAtMs: number | undefined
  /** The partition the caller asked for; only with the capability `explicitPartition`. */
  readonly partition: PartitionId | undefined
}

/** A record read from a backend. */
export interface IncomingRecord {
  /** The producer's id, or a stable id made from partition and position when another program wrote the record. */
  readonly id: string
  readonly partition: PartitionId
  /** `undefined` only where the capability `positions` is `none`. */
  readonly position: Position | undefined
  readonly key: string | undefined
  readonly headers: Headers
  /** The stored bytes. Valid until the record is settled; copy them to keep them longer. */
  readonly body: Uint8Array
  /** The backend's time of the record, milliseconds since 1970. */
  readonly timeMs: number
  readonly expiresAtMs: number | undefined
  /** The assignment under which it was read: the `epoch` given to {@link PartitionEvents.assigned}. 0 for queues. */
  readonly epoch: number
  /** The vendor SDK's own object, for `message.native()`. */
  readonly native: unknown
}

/** A record of an acknowledged queue: leased to us until it is settled or its lease runs out. */
export interface QueuedRecord extends IncomingRecord {
  /** Names this delivery in `settle`, `extend` and `release`. */
  readonly token: string
  /** 1 on first delivery, where the backend counts durably (capability `attempts: 'durable'`); else `undefined`. */
  readonly attempt: number | undefined
}
