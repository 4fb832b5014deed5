import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { StatementSync } from 'node:sqlite'
import { StreamError, systemErrorCode } from '@sluice/driver'
import type { StoredRecord } from './shard.ts'

/** What outlives the server: a description of each stream, and its records. */
export interface Journal {
  /** Every stream that was saved, as it was described. */
  load(): readonly { readonly id: string; readonly description: string }[]
  /** Records of a shard, oldest first. */
  records(stream: string, shard: string): readonly StoredRecord[]
  save(stream: string, description: string): void
  append(stream: string, shard: string, records: readonly StoredRecord[]): void
  /** Forgets the records of a shard below a place. */
  trim(stream: string, shard: string, below: number): void
  /** Forgets the stream with all its records. */
  remove(stream: string): void
  /** A value of its own that is made once and then kept. */
  secret(make: () => Buffer): Buffer
  close(): void
}

/** Keeps nothing. */
export const noJournal: Journal = {
  load: () => [],
  records: () => [],
  save: nothing,
  append: nothing,
  trim: nothing,
  remove: nothing,
  secret: (make) => make(),
  close: nothing,
}

/** Keeps everything in one SQLite file: what was acknowledged outlives a kill of the process. */
export class FileJournal implements Journal {
  readonly #database: DatabaseSync
  readonly #insert: StatementSync

  constructor(folder: string) {
    this.#database = openDatabase(folder)
    this.#database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      CREATE TABLE IF NOT EXISTS streams (id TEXT PRIMARY KEY, description TEXT NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS secret (value BLOB NOT NULL) STRICT;
      CREATE TABLE IF NOT EXISTS records (
        stream TEXT NOT NULL, shard TEXT NOT NULL, place INTEGER NOT NULL, sequence TEXT NOT NULL,
        arrival_ms INTEGER NOT NULL, partition_key TEXT NOT NULL, encrypted INTEGER NOT NULL, data BLOB NOT NULL,
        PRIMARY KEY (stream, shard, place)) STRICT, WITHOUT ROWID;
    `)
    this.#insert = this.#database.prepare('INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
  }

  load(): readonly { readonly id: string; readonly description: string }[] {
    return this.#database
      .prepare('SELECT id, description FROM streams ORDER BY id')
      .all()
      .map(({ id, description }) => ({ id: String(id), description: String(description) }))
  }

  records(stream: string, shard: string): readonly StoredRecord[] {
    return this.#database
      .prepare('SELECT * FROM records WHERE stream = ? AND shard = ? ORDER BY place')
      .all(stream, shard)
      .map((row) => ({
        place: Number(row['place']),
        sequence: String(row['sequence']),
        arrivalMs: Number(row['arrival_ms']),
        partitionKey: String(row['partition_key']),
        data: Buffer.from(row['data'] as Uint8Array),
        encrypted: row['encrypted'] === 1,
      }))
  }

  save(stream: string, description: string): void {
    this.#database.prepare('INSERT OR REPLACE INTO streams VALUES (?, ?)').run(stream, description)
  }

  append(stream: string, shard: string, records: readonly StoredRecord[]): void {
    this.#atOnce(() => {
      for (const { place, sequence, arrivalMs, partitionKey, encrypted, data } of records)
        this.#insert.run(stream, shard, place, sequence, arrivalMs, partitionKey, encrypted ? 1 : 0, data)
    })
  }

  trim(stream: string, shard: string, below: number): void {
    this.#database.prepare('DELETE FROM records WHERE stream = ? AND shard = ? AND place < ?').run(stream, shard, below)
  }

  remove(stream: string): void {
    this.#atOnce(() => {
      this.#database.prepare('DELETE FROM records WHERE stream = ?').run(stream)
      this.#database.prepare('DELETE FROM streams WHERE id = ?').run(stream)
    })
  }

  secret(make: () => Buffer): Buffer {
    const row = this.#database.prepare('SELECT value FROM secret').get()
    if (row !== undefined) return Buffer.from(row['value'] as Uint8Array)
    const value = make()
    this.#database.prepare('INSERT INTO secret VALUES (?)').run(value)
    return value
  }

  close(): void {
    this.#database.close()
  }

  #atOnce(write: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      write()
      this.#database.exec('COMMIT')
    } catch (error) {
      this.#database.exec('ROLLBACK')
      throw error
    }
  }
}

function nothing(): void {
  // There is nothing to keep.
}

/** Makes the folder where it is missing; the one above it has to be there. */
function openDatabase(folder: string): DatabaseSync {
  try {
    if (!existsSync(folder)) mkdirSync(folder)
    return new DatabaseSync(join(folder, 'kinesis.sqlite'))
  } catch (cause) {
    const { message } = cause as Error
    throw new StreamError(
      systemErrorCode(cause) ?? 'unavailable',
      `the folder ${folder} cannot be used: ${message}; name one that can be written to, in a folder that is there`,
      { cause, details: { file: folder } },
    )
  }
}
