import type { Database } from './database.ts'
import { lastLogKey, logKey } from './schema.ts'
import type { PartitionRow, Topics } from './topics.ts'

/** Batches and bytes removed in one transaction at most, so that appends are not held up. */
const sliceBatches = 64
const sliceBytes = 16 * 1024 * 1024

interface Oldest {
  readonly base: number
  readonly count: number
  readonly time: number
  readonly bytes: number
}

/**
 * Removes what is too old or too much: whole batches, oldest first, a slice in each call. The newest batch never goes for
 * its size. Where a partition stands is kept beside the records, so offsets go on when all of them are gone.
 */
export class Retention {
  readonly #database: Database
  readonly #topics: Topics

  constructor(database: Database, topics: Topics) {
    this.#database = database
    this.#topics = topics
  }

  /** Whether there is anything to do: a look that needs no write lock. */
  pending(nowMs: number): boolean {
    return this.#next(nowMs) !== undefined
  }

  /** Removes one slice. Says whether more is left. Runs inside a write transaction. */
  sweep(nowMs: number): boolean {
    let batches = sliceBatches
    let bytes = sliceBytes
    while (batches > 0 && bytes > 0) {
      const next = this.#next(nowMs)
      if (next === undefined) return false
      this.#remove(next.row, next.oldest)
      batches--
      bytes -= next.oldest?.bytes ?? 0
    }
    return true
  }

  #next(nowMs: number): { readonly row: PartitionRow; readonly oldest: Oldest | undefined } | undefined {
    const orphan = this.#database.get<PartitionRow>('SELECT * FROM partitions WHERE topic_id < 0 LIMIT 1')
    if (orphan !== undefined) return { row: orphan, oldest: this.#oldest(orphan) }
    for (const topic of this.#topics.withRetention()) {
      const rows = this.#topics.partitions(topic.id).filter((row) => row.next_offset > row.first_offset)
      const olds = rows
        .map((row) => ({ row, oldest: this.#oldest(row) }))
        .filter((each): each is { row: PartitionRow; oldest: Oldest } => each.oldest !== undefined)
        .toSorted((a, b) => a.oldest.time - b.oldest.time)
      const [first] = olds
      if (first === undefined) continue
      const bytes = rows.reduce((sum, row) => sum + row.bytes, 0)
      const tooOld = topic.retentionMs !== null && nowMs - first.oldest.time > topic.retentionMs
      const tooMuch = topic.retentionBytes !== null && bytes > topic.retentionBytes && bytes > first.oldest.bytes
      if (tooOld || tooMuch) return first
    }
    return undefined
  }

  #oldest(row: PartitionRow): Oldest | undefined {
    return this.#database.get<Oldest>(
      'SELECT base, count, time, bytes FROM log WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1',
      logKey(row.id, 0),
      lastLogKey(row.id),
    )
  }

  #remove(row: PartitionRow, oldest: Oldest | undefined): void {
    if (oldest === undefined) {
      this.#database.run('DELETE FROM partitions WHERE id = ?', row.id)
      return
    }
    const next = oldest.base + oldest.count
    this.#database.run('DELETE FROM log WHERE key = ?', logKey(row.id, next - 1))
    this.#database.run(
      'UPDATE partitions SET first_offset = ?, bytes = bytes - ? WHERE id = ?',
      next,
      oldest.bytes,
      row.id,
    )
  }
}
