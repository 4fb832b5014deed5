import type { LeaseCommit, SqliteLeaseTable } from '@sluice/lease'
import { StreamError } from '@sluice/driver'
import { checkBatch } from '../codec.ts'
import type { Database } from './database.ts'
import { DedupWindow } from './dedup.ts'
import type { StoredPart } from './dedup.ts'
import type {
  AppendPart,
  AppendRequest,
  AppendResult,
  Duplicate,
  ReadBatch,
  ReadRequest,
  ReadResult,
} from './protocol.ts'
import { lastLogKey, logKey } from './schema.ts'
import { topicDeleted } from './topics.ts'

/** A clock that went back by less than this does not take the records' times with it, in milliseconds. */
const toleratedStepMs = 60_000

interface Head {
  readonly next_offset: number
  readonly ended: number
  readonly last_time: number
}

interface BatchRow {
  readonly base: number
  readonly count: number
  readonly time: number
  readonly body: Uint8Array
}

/** Undoes everything of one append that turned out not to be possible. */
export class AppendRefused extends Error {
  readonly result: AppendResult

  constructor(result: AppendResult) {
    super(result.kind)
    this.result = result
  }
}

/** Stores and reads batches. Runs inside whatever transaction is open. */
export class Log {
  readonly #database: Database
  readonly #leases: SqliteLeaseTable
  readonly #dedup: DedupWindow

  constructor(database: Database, leases: SqliteLeaseTable) {
    this.#database = database
    this.#leases = leases
    this.#dedup = new DedupWindow(database)
  }

  /** Stores all or nothing. Throws {@link AppendRefused} when nothing may be stored; the caller then rolls back. */
  append(request: AppendRequest): AppendResult {
    for (const [index, commit] of request.commits.entries()) this.#commit(commit, index)
    for (const part of request.parts) this.#checkGeneration(part)
    if (request.dedup) this.#refuseDuplicates(request)
    const stored = request.parts.map((part) => this.#insert(part, request))
    if (request.dedup) for (const remember of stored) this.#dedup.remember(remember)
    return { kind: 'stored', bases: stored.map(({ base }) => base) }
  }

  /** After a rollback: what was remembered of the transaction is not so. */
  rolledBack(): void {
    this.#dedup.forget()
  }

  /** Gives memory free that nobody has needed for a while. */
  tidy(nowMs: number): void {
    this.#dedup.forgetIdle(nowMs)
  }

  #commit(commit: LeaseCommit, index: number): void {
    if (!this.#leases.commit(commit)) throw new AppendRefused({ kind: 'fenced', commit: index })
  }

  #checkGeneration(part: AppendPart): void {
    const topic = this.#database.get<{ name: string; generation: number }>(
      'SELECT name, generation FROM topics WHERE id = ?',
      part.topicId,
    )
    // A topic that was deleted may have been made again under its name: the main thread looks it up anew.
    if (topic === undefined || topic.generation !== part.generation) throw new AppendRefused({ kind: 'stale' })
  }

  #refuseDuplicates(request: AppendRequest): void {
    const duplicates: Duplicate[] = []
    for (const [index, part] of request.parts.entries()) this.#dedup.find(request, part, index, duplicates)
    if (duplicates.length > 0) throw new AppendRefused({ kind: 'duplicates', duplicates })
  }

  #insert(part: AppendPart, request: AppendRequest): StoredPart {
    const head = this.#database.get<Head>(
      'SELECT next_offset, ended, last_time FROM partitions WHERE id = ?',
      part.partition,
    )
    if (head === undefined || head.ended === 1) throw new AppendRefused({ kind: 'stale' })
    const base = head.next_offset
    const next = base + part.count
    const stepBack = head.last_time - request.nowMs
    const time = stepBack > 0 && stepBack < toleratedStepMs ? head.last_time : request.nowMs
    const ids = new Uint8Array(request.buffer, part.idsOffset, part.count * 8)
    this.#database.run(
      'INSERT INTO log (key, base, count, time, bytes, ids, body) VALUES (?, ?, ?, ?, ?, ?, ?)',
      logKey(part.partition, next - 1),
      base,
      part.count,
      time,
      part.length,
      ids,
      new Uint8Array(request.buffer, part.offset, part.length),
    )
    this.#database.run(
      'UPDATE partitions SET next_offset = ?, last_time = ?, bytes = bytes + ? WHERE id = ?',
      next,
      time,
      part.length,
      part.partition,
    )
    return { part, base, time, ids }
  }

  /** The next batches of each cursor in turn, until the credit is used up. Takes at least one batch when there is one. */
  read(request: ReadRequest): ReadResult {
    const batches: ReadBatch[] = []
    const ended: { partition: number; children: readonly string[] }[] = []
    let records = request.records
    let bytes = request.bytes
    for (const cursor of request.cursors) {
      if (records <= 0 || bytes <= 0) break
      let at = cursor.offset
      while (records > 0 && bytes > 0) {
        const batch = this.#soundBatchAt(cursor.partition, at, batches.length > 0)
        if (batch === undefined) break
        batches.push(batch)
        at = batch.base + batch.count
        records -= batch.count
        bytes -= batch.body.length
      }
      if (at === cursor.offset) {
        const children = this.#childrenIfEnded(cursor.partition, at)
        if (children !== undefined) ended.push({ partition: cursor.partition, children })
      }
    }
    return { batches, ended }
  }

  /** As {@link #batchAt}; what is damaged is left for the next read when there is something before it to hand out. */
  #soundBatchAt(partition: number, offset: number, othersFound: boolean): ReadBatch | undefined {
    try {
      return this.#batchAt(partition, offset)
    } catch (error) {
      if (othersFound && StreamError.is(error, 'corrupt')) return undefined
      throw error
    }
  }

  /** The batch that holds the offset, or the next one behind it. Throws `corrupt` when it is damaged. */
  #batchAt(partition: number, offset: number): ReadBatch | undefined {
    const row = this.#database.get<BatchRow>(
      'SELECT base, count, time, body FROM log WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1',
      logKey(partition, Math.max(0, offset)),
      lastLogKey(partition),
    )
    if (row === undefined) return undefined
    // Checked here, on the store's thread, so that the main thread has only to decode.
    checkBatch(row.body, row.count, () => `offset ${row.base} of ${this.#nameOf(partition)}`)
    return { partition, base: row.base, count: row.count, timeMs: row.time, body: row.body }
  }

  #nameOf(partition: number): string {
    const row = this.#database.get<{ name: string; topic: string }>(
      `SELECT partitions.name AS name, topics.name AS topic
       FROM partitions JOIN topics ON topics.id = topic_id WHERE partitions.id = ?`,
      partition,
    )
    return `partition ${row?.name ?? partition} of topic "${row?.topic ?? 'deleted'}"`
  }

  #childrenIfEnded(partition: number, offset: number): readonly string[] | undefined {
    const row = this.#database.get<{ topic_id: number; name: string; ended: number }>(
      'SELECT topic_id, name, ended FROM partitions WHERE id = ?',
      partition,
    )
    if (row === undefined || row.topic_id < 0) throw topicDeleted()
    // Nothing was found before, but by now there may be more: stored by another process, or damaged and held back.
    if (row.ended === 0 || this.#holdsFrom(partition, offset)) return undefined
    const children = this.#database.all<{ name: string }>(
      `SELECT name FROM partitions WHERE topic_id = ?
       AND EXISTS (SELECT 1 FROM json_each(parents) WHERE json_each.value = ?) ORDER BY id`,
      row.topic_id,
      row.name,
    )
    return children.map((child) => child.name)
  }

  /** Whether a batch is stored at the offset or behind it. Retention may have removed the last ones. */
  #holdsFrom(partition: number, offset: number): boolean {
    const row = this.#database.get(
      'SELECT 1 FROM log WHERE key BETWEEN ? AND ? LIMIT 1',
      logKey(partition, Math.max(0, offset)),
      lastLogKey(partition),
    )
    return row !== undefined
  }

  /** The first stored offset whose record is not older than `timeMs`; the next free offset when all are. */
  offsetAtTime(partition: number, timeMs: number, nextOffset: number): number {
    let low = 0
    let high = nextOffset
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const row = this.#database.get<{ base: number; count: number; time: number }>(
        'SELECT base, count, time FROM log WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1',
        logKey(partition, middle),
        lastLogKey(partition),
      )
      if (row === undefined || row.time >= timeMs) high = Math.min(middle, row?.base ?? middle)
      else low = row.base + row.count
    }
    return low
  }
}
