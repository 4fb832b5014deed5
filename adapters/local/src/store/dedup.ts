import { openBatch } from '../codec.ts'
import type { Database } from './database.ts'
import type { AppendPart, AppendRequest, Duplicate } from './protocol.ts'
import { lastLogKey, logKey } from './schema.ts'

/** Ids are remembered for this long at least, in milliseconds, as far as {@link maxIds} lets them. */
const windowMs = 120_000

/** Ids of one topic after which older ones are forgotten early: 48 MiB, and as much again for the older half. */
const maxIds = 2_000_000

interface Batch {
  readonly partition: number
  readonly lastOffset: number
  readonly time: number
}

/** A part of a request that is in the log now. */
export interface StoredPart {
  readonly part: AppendPart
  readonly base: number
  readonly time: number
  /** Hashes of the ids. */
  readonly ids: Uint8Array
}

/** Hashes of ids by open addressing: three words for each, high, low, and the batch's number plus one. */
class HashTable {
  #slots: Uint32Array = new Uint32Array(3 * 1024)
  #mask = 1023
  count = 0
  readonly since: number

  constructor(since: number) {
    this.since = since
  }

  add(high: number, low: number, batch: number): void {
    if (this.count * 2 > this.#mask) this.#grow()
    this.count++
    this.#put(high, low, batch + 1)
  }

  /** Calls `each` with the number of every batch that may hold the id, until it returns true. */
  some(high: number, low: number, each: (batch: number) => boolean): boolean {
    const slots = this.#slots
    for (let slot = low & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const batch = slots[slot * 3 + 2] ?? 0
      if (batch === 0) return false
      if (slots[slot * 3] === high && slots[slot * 3 + 1] === low && each(batch - 1)) return true
    }
  }

  #put(high: number, low: number, batch: number): void {
    const slots = this.#slots
    let slot = low & this.#mask
    while (slots[slot * 3 + 2] !== 0) slot = (slot + 1) & this.#mask
    slots[slot * 3] = high
    slots[slot * 3 + 1] = low
    slots[slot * 3 + 2] = batch
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Uint32Array(old.length * 2)
    this.#mask = this.#mask * 2 + 1
    for (let at = 0; at < old.length; at += 3) {
      const batch = old[at + 2] ?? 0
      if (batch !== 0) this.#put(old[at] ?? 0, old[at + 1] ?? 0, batch)
    }
  }
}

/** The ids of one topic: two tables, the younger of which becomes the older when it is full or old enough. */
class TopicWindow {
  /** Up to where each partition was looked at. */
  readonly seen = new Map<number, number>()
  foreignCommits = -1
  usedMs = 0
  #batches = new Map<number, Batch>()
  #nextBatch = 0
  #firstOfYoung = 0
  #young: HashTable
  #old: HashTable

  constructor(nowMs: number) {
    this.#young = new HashTable(nowMs)
    this.#old = new HashTable(nowMs)
  }

  add(batch: Batch, ids: Uint8Array): void {
    if (this.#young.count >= maxIds || batch.time - this.#young.since > windowMs) this.#turn(batch.time)
    const number = this.#nextBatch++
    this.#batches.set(number, batch)
    const words = toWords(ids)
    for (let at = 0; at < words.length; at += 2) this.#young.add(words[at] ?? 0, words[at + 1] ?? 0, number)
  }

  /** The first batch for which `holds` says that it has the id. */
  find(high: number, low: number, holds: (batch: Batch) => boolean): boolean {
    const check = (number: number): boolean => {
      const batch = this.#batches.get(number)
      return batch !== undefined && holds(batch)
    }
    return this.#young.some(high, low, check) || this.#old.some(high, low, check)
  }

  #turn(nowMs: number): void {
    for (const number of this.#batches.keys()) {
      if (number >= this.#firstOfYoung) break
      this.#batches.delete(number)
    }
    this.#firstOfYoung = this.#nextBatch
    this.#old = this.#young
    this.#young = new HashTable(nowMs)
  }
}

/**
 * Finds records that are stored already, by their ids. The truth is in the log itself, which keeps a 64-bit hash of
 * each id beside the batch; memory holds the hashes of the last {@link windowMs}, read from the log when a topic is
 * first written to and whenever another process has written. A hit is confirmed by reading the batch, so there are no
 * false ones. Measured: this takes about a tenth of the append rate; a table of ids takes up to a quarter when they are
 * in the order of time, and four fifths when they are random.
 */
export class DedupWindow {
  readonly #database: Database
  readonly #topics = new Map<number, TopicWindow>()

  constructor(database: Database) {
    this.#database = database
  }

  /** Adds the part's records that are in the log, or earlier in the same request, to `duplicates`. */
  find(request: AppendRequest, part: AppendPart, partIndex: number, duplicates: Duplicate[]): void {
    const window = this.#window(part.topicId, request.nowMs)
    const words = toWords(new Uint8Array(request.buffer, part.idsOffset, part.count * 8))
    for (let index = 0; index < part.count; index++) {
      const high = words[index * 2] ?? 0
      const low = words[index * 2 + 1] ?? 0
      window.find(high, low, (batch) => {
        if (request.nowMs - batch.time > windowMs) return false
        const offset = this.#offsetOf(batch, idAt(request, part, index))
        if (offset !== undefined) duplicates.push({ part: partIndex, index, partition: batch.partition, offset })
        return offset !== undefined
      })
    }
  }

  /** Adds what was just stored. */
  remember({ part, base, time, ids }: StoredPart): void {
    const window = this.#topics.get(part.topicId)
    const next = base + part.count
    window?.add({ partition: part.partition, lastOffset: next - 1, time }, ids)
    window?.seen.set(part.partition, next)
  }

  /** Gives the memory of topics free that were not written to for a while. */
  forgetIdle(nowMs: number): void {
    for (const [topic, window] of this.#topics) {
      if (nowMs - window.usedMs > windowMs) this.#topics.delete(topic)
    }
  }

  /** Forgets everything: it is read again when it is needed. */
  forget(): void {
    this.#topics.clear()
  }

  #window(topicId: number, nowMs: number): TopicWindow {
    let window = this.#topics.get(topicId)
    if (window === undefined) {
      window = new TopicWindow(nowMs)
      this.#topics.set(topicId, window)
    }
    window.usedMs = nowMs
    const foreignCommits = this.#database.foreignCommits()
    if (window.foreignCommits !== foreignCommits) {
      window.foreignCommits = foreignCommits
      this.#catchUp(window, topicId, nowMs)
    }
    return window
  }

  /** Reads the hashes of what others have written, newest first, as far back as the window goes. */
  #catchUp(window: TopicWindow, topicId: number, nowMs: number): void {
    const heads = this.#database.all<{ id: number; next_offset: number }>(
      'SELECT id, next_offset FROM partitions WHERE topic_id = ?',
      topicId,
    )
    for (const head of heads) {
      const from = window.seen.get(head.id) ?? 0
      if (from >= head.next_offset) continue
      window.seen.set(head.id, head.next_offset)
      this.#readBack(window, head.id, from, nowMs)
    }
  }

  #readBack(window: TopicWindow, partition: number, from: number, nowMs: number): void {
    let before = lastLogKey(partition)
    let left = maxIds
    while (left > 0) {
      const row = this.#database.get<{ base: number; count: number; time: number; ids: Uint8Array }>(
        'SELECT base, count, time, ids FROM log WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1',
        logKey(partition, from),
        before,
      )
      if (row === undefined || nowMs - row.time > windowMs) return
      const lastOffset = row.base + row.count - 1
      window.add({ partition, lastOffset, time: row.time }, row.ids)
      before = logKey(partition, lastOffset) - 1n
      left -= row.count
    }
  }

  #offsetOf(batch: Batch, id: string): number | undefined {
    const row = this.#database.get<{ base: number; count: number; body: Uint8Array }>(
      'SELECT base, count, body FROM log WHERE key = ?',
      logKey(batch.partition, batch.lastOffset),
    )
    if (row === undefined) return undefined
    const reader = openBatch(row.body, row.count, `offset ${row.base}`)
    for (let index = 0; index < row.count; index++) {
      if (reader.peekId() === id) return row.base + index
      reader.skip(1)
    }
    return undefined
  }
}

function idAt(request: AppendRequest, part: AppendPart, index: number): string {
  const reader = openBatch(new Uint8Array(request.buffer, part.offset, part.length), part.count, 'the request')
  reader.skip(index)
  return reader.peekId()
}

/** SQLite's blobs begin on no boundary that could be relied on. */
function toWords(ids: Uint8Array): Uint32Array {
  if (ids.byteOffset % 4 === 0) return new Uint32Array(ids.buffer, ids.byteOffset, ids.length / 4)
  const copy = ids.slice()
  return new Uint32Array(copy.buffer, 0, copy.length / 4)
}
