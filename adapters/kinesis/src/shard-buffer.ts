import type { _Record } from '@aws-sdk/client-kinesis'
import type { IncomingRecord, PartitionId } from '@sluice/driver'
import { decodeRecords } from './codec.ts'
import type { Encoding } from './config.ts'
import { toPosition } from './places.ts'
import type { Place } from './places.ts'

/** What is read of a shard. */
export interface Shelf {
  readonly stream: string
  readonly partition: PartitionId
  readonly epoch: number
  readonly encoding: Encoding
}

/** Records of a shard that were read ahead, and the place behind them. */
export class ShardBuffer {
  readonly #shelf: Shelf
  #records: IncomingRecord[] = []
  #head = 0
  #bytes = 0
  #added = 0
  #place: Place

  constructor(shelf: Shelf, from: Place) {
    this.#shelf = shelf
    this.#place = from
  }

  /** Where reading goes on. */
  get place(): Place {
    return this.#place
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many records have come in so far. */
  get added(): number {
    return this.#added
  }

  /** How many of them have gone out. */
  get taken(): number {
    return this.#added - (this.#records.length - this.#head)
  }

  get empty(): boolean {
    return this.#head === this.#records.length
  }

  /** What waits, in its order. */
  peek(): readonly IncomingRecord[] {
    return this.#records.slice(this.#head)
  }

  /** Takes records of the stream in, in their order; of the one that reading began in, what comes behind the place. */
  add(records: readonly _Record[]): void {
    for (const record of records) this.#addOne(record)
  }

  /** See `PartitionReading.take`. */
  take(target: IncomingRecord[], records: number, bytes: number): number {
    let taken = 0
    while (target.length < records && taken < bytes) {
      const record = this.#records[this.#head]
      if (record === undefined) break
      this.#head += 1
      taken += sizeOf(record)
      target.push(record)
    }
    this.#bytes -= taken
    if (this.empty) {
      this.#records = []
      this.#head = 0
    }
    return taken
  }

  #addOne(native: _Record): void {
    const { stream, partition, epoch, encoding } = this.#shelf
    const sequence = native.SequenceNumber ?? ''
    const place = this.#place
    const timeMs = native.ApproximateArrivalTimestamp?.getTime() ?? 0
    // There are servers that look for a time by its second alone.
    if (place.kind === 'time' && timeMs < place.timeMs) return
    const done = place.kind === 'behind' && place.sequence === sequence ? place.subsequence : -1
    const decoded = decodeRecords(encoding, native.PartitionKey, native.Data ?? new Uint8Array(0))
    for (let at = done + 1; at < decoded.length; at++) {
      const { id, key, headers, expiresAtMs, body } = decoded[at] as (typeof decoded)[number]
      const record: IncomingRecord = {
        id: id ?? `${stream}:${partition}:${sequence}:${at}`,
        partition,
        position: toPosition(sequence, at),
        key,
        headers,
        body,
        timeMs,
        expiresAtMs,
        epoch,
        native,
      }
      this.#bytes += sizeOf(record)
      this.#records.push(record)
      this.#added += 1
    }
    this.#place = { kind: 'behind', sequence, subsequence: Math.max(done, decoded.length - 1) }
  }
}

/** About what a record takes in memory. */
function sizeOf(record: IncomingRecord): number {
  return record.body.length + 256
}
