import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { StatementSync } from 'node:sqlite'
import { partitionForKey } from '@sluice/driver'
import { encode } from './frame.ts'

/**
 * What a program would write by hand in the layout of `@sluice/local`: one row for each batch and partition, WAL,
 * synchronous=FULL, one transaction for each batch of records; offsets in a table. No retries, no groups, no checks.
 */
export class SqliteLog {
  readonly #database: DatabaseSync
  readonly #insert: StatementSync
  readonly #advance: StatementSync
  readonly #next: StatementSync
  readonly #commit: StatementSync
  readonly #partitions: number
  readonly #offsets: number[]
  readonly #places: number[]
  /** Called after each append. */
  onAppend: (() => void) | undefined

  constructor(folder: string, file: string, partitions: number) {
    this.#database = new DatabaseSync(join(folder, file))
    this.#partitions = partitions
    this.#offsets = Array.from({ length: partitions }, () => 0)
    this.#places = this.#offsets.slice()
    this.#database.exec(`
      PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 250;
      CREATE TABLE partitions (id INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
      CREATE TABLE checkpoints (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
      CREATE TABLE log (key INTEGER PRIMARY KEY, base INTEGER, count INTEGER, time INTEGER, bytes INTEGER, ids BLOB, body BLOB);
    `)
    for (let id = 0; id < partitions; id++) {
      this.#database.prepare('INSERT INTO partitions VALUES (?, 0)').run(id)
      this.#database.prepare('INSERT INTO checkpoints VALUES (?, 0)').run(id)
    }
    this.#insert = this.#database.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)')
    this.#advance = this.#database.prepare('UPDATE partitions SET next_offset = ? WHERE id = ?')
    this.#next = this.#database.prepare(
      'SELECT base, count, body FROM log WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1',
    )
    this.#commit = this.#database.prepare('UPDATE checkpoints SET next_offset = ? WHERE partition = ?')
  }

  /** Appends one batch in one transaction. */
  append(records: readonly { readonly key: string | undefined; readonly value: unknown }[]): void {
    const groups: Buffer[][] = Array.from({ length: this.#partitions }, () => [])
    for (const record of records) groups[partitionForKey(record.key ?? '', this.#partitions)]?.push(encode(record))
    this.#database.exec('BEGIN IMMEDIATE')
    groups.forEach((group, partition) => {
      if (group.length === 0) return
      const base = this.#offsets[partition] ?? 0
      const next = base + group.length
      const body = Buffer.concat(group)
      this.#insert.run(
        keyOf(partition, next - 1),
        base,
        group.length,
        Date.now(),
        body.length,
        Buffer.alloc(8 * group.length),
        body,
      )
      this.#advance.run(next, partition)
      this.#offsets[partition] = next
    })
    this.#database.exec('COMMIT')
    this.onAppend?.()
  }

  /** Begins again, as a group that was never here. */
  rewind(): void {
    this.#places.fill(0)
  }

  /** Reads on from where it was, decodes each record, hands it to the handler, and stores the offset after each batch. */
  consume(handler: (record: { readonly id: string; readonly key: string; readonly value: unknown }) => void): void {
    for (let partition = 0; partition < this.#partitions; partition++) {
      for (;;) {
        const offset = this.#places[partition] ?? 0
        const row = this.#next.get(keyOf(partition, offset), keyOf(partition + 1, 0) - 1n) as
          | { base: number; count: number; body: Uint8Array }
          | undefined
        if (row === undefined) break
        const bytes = Buffer.from(row.body.buffer, row.body.byteOffset, row.body.byteLength)
        for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at)) {
          const idEnd = at + 12 + bytes.readUInt32LE(at + 4)
          const keyEnd = idEnd + bytes.readUInt32LE(at + 8)
          const value: unknown = JSON.parse(bytes.toString('utf8', keyEnd, at + bytes.readUInt32LE(at)))
          handler({ id: bytes.toString('latin1', at + 12, idEnd), key: bytes.toString('latin1', idEnd, keyEnd), value })
        }
        this.#places[partition] = row.base + row.count
        this.#commit.run(row.base + row.count, partition)
      }
    }
  }

  close(): void {
    this.#database.close()
  }
}

function keyOf(partition: number, offset: number): bigint {
  return (BigInt(partition) << 42n) | BigInt(offset)
}
