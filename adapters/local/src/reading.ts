import type { IncomingRecord } from '@sluice/driver'
import { toPosition } from './position.ts'
import type { RecordReader } from './codec.ts'
import type { ReadBatch } from './store/protocol.ts'
import type { PartitionInfo } from './store/topics.ts'

/** The batch of a record as `message.native()` shows it: without its bytes, which one message would keep in memory. */
export interface NativeBatch {
  readonly partition: string
  readonly baseOffset: number
  readonly records: number
  readonly timeMs: number
}

interface Buffered {
  readonly reader: RecordReader
  readonly batch: NativeBatch
  next: number
  readonly end: number
}

/** One partition being read under one tenure: where it stands, and the batches that are here but not yet handed out. */
export class Reading {
  readonly partition: PartitionInfo
  readonly epoch: number
  readonly #buffered: Buffered[] = []
  #offset: number
  #bytes = 0
  #ended = false

  constructor(partition: PartitionInfo, epoch: number, offset: number) {
    this.partition = partition
    this.epoch = epoch
    this.#offset = offset
  }

  /** The next offset to ask the store for. */
  get offset(): number {
    return this.#offset
  }

  /** Whether the partition goes on behind what is here. */
  get goesOn(): boolean {
    return !this.#ended
  }

  /** Bytes that are here and not yet handed out. */
  get bytes(): number {
    return this.#bytes
  }

  /** Nothing more will come. */
  end(): void {
    this.#ended = true
  }

  /** Takes a batch in. The reader stands at its first record. */
  add(batch: ReadBatch, reader: RecordReader): void {
    const { base, count, timeMs } = batch
    const passed = Math.max(0, this.#offset - base)
    reader.skip(passed)
    const native = { partition: this.partition.name, baseOffset: base, records: count, timeMs }
    this.#buffered.push({ reader, batch: native, next: base + passed, end: base + count })
    this.#offset = base + count
    this.#bytes += reader.bytesLeft
  }

  /** Appends records to `target` until it holds `records` or `bytes` are used up; returns the bytes taken. */
  take(target: IncomingRecord[], records: number, bytes: number): number {
    let taken = 0
    for (let head = this.#buffered[0]; head !== undefined; head = this.#buffered[0]) {
      while (head.next < head.end) {
        if (target.length >= records || taken >= bytes) return taken
        const length = head.reader.peekLength()
        taken += length
        this.#bytes -= length
        target.push(this.#record(head))
      }
      this.#buffered.shift()
    }
    return taken
  }

  #record(head: Buffered): IncomingRecord {
    const { id, key, headers, body, expiresAtMs } = head.reader.next()
    return {
      id,
      partition: this.partition.name,
      position: toPosition(head.next++),
      key,
      headers,
      body,
      timeMs: head.batch.timeMs,
      expiresAtMs,
      epoch: this.epoch,
      native: head.batch,
    }
  }
}
