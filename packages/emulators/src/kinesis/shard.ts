import type { HashRange } from './hash-range.ts'
import { RecordLog } from './record-log.ts'
import { closingPlace, SequenceForm } from './sequence.ts'

/** A record as a shard keeps it. */
export interface StoredRecord {
  /** Its place in the shard: 1, 2, 3 and so on without gaps. */
  readonly place: number
  readonly sequence: string
  readonly arrivalMs: number
  readonly partitionKey: string
  readonly data: Buffer
  readonly encrypted: boolean
}

/** What a record is made of before it has its place. */
export type NewRecord = Pick<StoredRecord, 'partitionKey' | 'data' | 'encrypted'>

/** What reading once gave. */
export interface Reading {
  readonly records: readonly StoredRecord[]
  /** Where to go on. */
  readonly next: number
  /** How old the first record that was not read is, in milliseconds; 0: everything was read. */
  readonly behindMs: number
  /** The shard is closed and everything in it was read. */
  readonly atEnd: boolean
}

/** Of what a shard is made. */
export interface ShardOrigin {
  readonly index: number
  readonly range: HashRange
  readonly parents: readonly string[]
  /** The second of its sequence numbers: above that of its parents. */
  readonly madeSecond: number
  readonly madeAtMs: number
}

/** One shard: records in the order they came, oldest first. */
export class Shard {
  readonly origin: ShardOrigin
  readonly id: string
  readonly startSequence: string
  readonly #form: SequenceForm
  readonly #watchers = new Set<() => void>()
  #log = new RecordLog(1)
  #lastArrivalMs: number
  #closed: { readonly atMs: number; readonly sequence: string } | undefined

  constructor(origin: ShardOrigin) {
    this.origin = origin
    this.id = shardId(origin.index)
    this.#form = new SequenceForm(origin.madeSecond, origin.index)
    this.startSequence = this.#form.at(0, origin.madeSecond)
    this.#lastArrivalMs = origin.madeAtMs
  }

  get open(): boolean {
    return this.#closed === undefined
  }

  get closedAtMs(): number | undefined {
    return this.#closed?.atMs
  }

  /** The number that no record of a closed shard is above. */
  get endSequence(): string | undefined {
    return this.#closed?.sequence
  }

  /** The place of the next record. */
  get next(): number {
    return this.#log.next
  }

  /** The place of the oldest record that is still there, or of the next one. */
  get first(): number {
    return this.#log.first
  }

  /** When the last record came, or the shard was made. */
  get lastArrivalMs(): number {
    return this.#lastArrivalMs
  }

  /** Numbers a record that is to be added behind so many others. Times never go back. */
  number(record: NewRecord, behind: number, nowMs: number): StoredRecord {
    const arrivalMs = Math.max(this.#lastArrivalMs, nowMs)
    const place = this.#log.next + behind
    return { ...record, place, arrivalMs, sequence: this.#sequenceOf(place, arrivalMs) }
  }

  /** Adds records as they were numbered, in that order, and tells who watches. */
  add(records: readonly StoredRecord[]): void {
    for (const record of records) {
      if (record.place !== this.#log.next) throw new RangeError(`record ${record.sequence} is out of its place`)
      this.#log.append(record)
      this.#lastArrivalMs = record.arrivalMs
    }
    this.wake()
  }

  /** Puts records back that were stored before: all up to the place `next`. */
  restore(records: readonly StoredRecord[], next: number, closedAtMs: number | undefined): void {
    this.#log = new RecordLog(records[0]?.place ?? next)
    this.add(records)
    if (closedAtMs !== undefined) this.close(closedAtMs)
  }

  /** Takes no more records from here on. */
  close(nowMs: number): void {
    const atMs = Math.max(this.#lastArrivalMs, nowMs)
    this.#closed = { atMs, sequence: this.#form.at(closingPlace, Math.floor(atMs / 1_000)) }
    this.wake()
  }

  /** The place of the first record that came at that time or later. */
  placeAt(timeMs: number): number {
    let [low, high] = [this.first, this.next]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.#log.arrivalOf(middle) < timeMs) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The record at a place, where it is still there. */
  at(place: number): StoredRecord | undefined {
    if (place < this.first || place >= this.next) return undefined
    const record = this.#log.at(place)
    return { ...record, place, sequence: this.#sequenceOf(place, record.arrivalMs) }
  }

  /** Reads on from a place, up to so many records and bytes; one record always. */
  read(from: number, limit: { readonly records: number; readonly bytes: number }, nowMs: number): Reading {
    const records: StoredRecord[] = []
    let place = Math.max(from, this.first)
    let bytes = 0
    for (; place < this.next && records.length < limit.records; place++) {
      const record = this.at(place) as StoredRecord
      bytes += sizeOf(record)
      if (bytes > limit.bytes && records.length > 0) break
      records.push(record)
    }
    const unread = place < this.next
    return {
      records,
      next: place,
      behindMs: unread ? Math.max(1, nowMs - this.#log.arrivalOf(place)) : 0,
      atEnd: !unread && !this.open,
    }
  }

  /** Forgets records that came before; says whether there were any. */
  trim(horizonMs: number): boolean {
    if (this.first === this.next || this.#log.arrivalOf(this.first) >= horizonMs) return false
    this.#log.trim(this.placeAt(horizonMs))
    return true
  }

  /** Calls back after records came or the shard was closed. Returns what ends that. */
  watch(onChange: () => void): () => void {
    this.#watchers.add(onChange)
    return () => void this.#watchers.delete(onChange)
  }

  /** Tells who watches. Once for a request, however many records it brought. */
  wake(): void {
    for (const onChange of this.#watchers) onChange()
  }

  #sequenceOf(place: number, arrivalMs: number): string {
    return this.#form.at(place, Math.floor(arrivalMs / 1_000))
  }
}

/** Bytes of a record as every quota and limit counts them: data and key. */
export function sizeOf(record: Pick<StoredRecord, 'data' | 'partitionKey'>): number {
  return record.data.length + Buffer.byteLength(record.partitionKey)
}

function shardId(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`
}
