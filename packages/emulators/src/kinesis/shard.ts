import type { HashRange } from './hash-range.ts'
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
  #records: StoredRecord[] = []
  /** How many of `#records` are trimmed: they go for good once they are the greater part. */
  #trimmed = 0
  #next = 1
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
    return this.#next
  }

  /** The place of the oldest record that is still there, or of the next one. */
  get first(): number {
    return this.#next - (this.#records.length - this.#trimmed)
  }

  /** Stores a record. Times never go back. */
  append(record: NewRecord, nowMs: number): StoredRecord {
    const stored = this.#numbered(record, nowMs)
    this.#records.push(stored)
    this.#next++
    this.#lastArrivalMs = stored.arrivalMs
    return stored
  }

  /** Puts records back that were stored before. */
  restore(records: readonly StoredRecord[], next: number, closed: { readonly atMs: number } | undefined): void {
    this.#records = [...records]
    this.#next = next
    this.#lastArrivalMs = records.at(-1)?.arrivalMs ?? this.#lastArrivalMs
    if (closed !== undefined) this.close(closed.atMs)
  }

  /** Takes no more records from here on. */
  close(nowMs: number): void {
    this.#closed = { atMs: nowMs, sequence: this.#form.at(closingPlace, Math.floor(nowMs / 1_000)) }
    this.wake()
  }

  /** The place of the first record that came at that time or later. */
  placeAt(timeMs: number): number {
    let [low, high] = [this.#trimmed, this.#records.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#records[middle]?.arrivalMs ?? 0) < timeMs) low = middle + 1
      else high = middle
    }
    return this.first + low - this.#trimmed
  }

  /** The record at a place, where it is still there. */
  at(place: number): StoredRecord | undefined {
    return place < this.first ? undefined : this.#records[this.#trimmed + place - this.first]
  }

  /** Reads on from a place, up to so many records and bytes; one record always. */
  read(from: number, limit: { readonly records: number; readonly bytes: number }, nowMs: number): Reading {
    const begin = Math.max(from, this.first)
    let index = this.#trimmed + begin - this.first
    const start = index
    let bytes = 0
    for (; index < this.#records.length && index - start < limit.records; index++) {
      const record = this.#records[index] as StoredRecord
      bytes += sizeOf(record)
      if (bytes > limit.bytes && index > start) break
    }
    const records = this.#records.slice(start, index)
    const unread = this.#records[index]
    return {
      records,
      next: begin + records.length,
      behindMs: unread === undefined ? 0 : Math.max(1, nowMs - unread.arrivalMs),
      atEnd: unread === undefined && !this.open,
    }
  }

  /** Forgets records that came before; says whether there were any. */
  trim(horizonMs: number): boolean {
    const before = this.#trimmed
    while ((this.#records[this.#trimmed]?.arrivalMs ?? Infinity) < horizonMs) this.#trimmed++
    const trimmed = this.#trimmed > before
    if (this.#trimmed > 1_000 && this.#trimmed * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#trimmed)
      this.#trimmed = 0
    }
    return trimmed
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

  #numbered(record: NewRecord, nowMs: number): StoredRecord {
    const arrivalMs = Math.max(this.#lastArrivalMs, nowMs)
    return {
      place: this.#next,
      sequence: this.#form.at(this.#next, Math.floor(arrivalMs / 1_000)),
      arrivalMs,
      partitionKey: record.partitionKey,
      data: record.data,
      encrypted: record.encrypted,
    }
  }
}

/** Bytes of a record as every quota and limit counts them: data and key. */
export function sizeOf(record: Pick<StoredRecord, 'data' | 'partitionKey'>): number {
  return record.data.length + Buffer.byteLength(record.partitionKey)
}

function shardId(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`
}
