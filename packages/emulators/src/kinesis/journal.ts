import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { StatementSync } from 'node:sqlite'
import { StreamError, systemErrorCode } from '@sluice/driver'
import type { StoredRecord } from './shard.ts'

/** Records of one shard. */
export interface ShardRecords {
  readonly shard: string
  readonly records: readonly StoredRecord[]
}

/** A shard of which everything below a place goes. */
export interface Trim {
  readonly shard: string
  readonly below: number
}

/** What outlives the server: a description of each stream, and its records. Each call is done as a whole or not at all. */
export interface Journal {
  /** Every stream that was saved, as it was described. */
  load(): readonly { readonly id: string; readonly description: string }[]
  /** Records of a shard, oldest first. */
  records(stream: string, shard: string): readonly StoredRecord[]
  save(stream: string, description: string): void
  append(stream: string, all: readonly ShardRecords[]): void
  /** Saves the description too: it tells which places come next, when no record is left to tell. */
  trim(stream: string, description: string, trims: readonly Trim[]): void
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
  readonly #save: StatementSync
  readonly #trim: StatementSync

  /** Makes the folder where it is missing; the one above it has to be there. Throws `conflict` when another server has it. */
  constructor(folder: string) {
    this.#database = openDatabase(folder)
    this.#insert = this.#database.prepare('INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    this.#save = this.#database.prepare('INSERT OR REPLACE INTO streams VALUES (?, ?)')
    this.#trim = this.#database.prepare('DELETE FROM records WHERE stream = ? AND shard = ? AND place < ?')
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
    this.#save.run(stream, description)
  }

  append(stream: string, all: readonly ShardRecords[]): void {
    this.#atOnce(() => {
      for (const { shard, records } of all)
        for (const { place, sequence, arrivalMs, partitionKey, encrypted, data } of records)
          this.#insert.run(stream, shard, place, sequence, arrivalMs, partitionKey, encrypted ? 1 : 0, data)
    })
  }

  trim(stream: string, description: string, trims: readonly Trim[]): void {
    this.#atOnce(() => {
      this.#save.run(stream, description)
      for (const { shard, below } of trims) this.#trim.run(stream, shard, below)
    })
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
      // SQLite has rolled back by itself when the disk is full.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }
}

const schema = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  BEGIN IMMEDIATE;
  CREATE TABLE IF NOT EXISTS streams (id TEXT PRIMARY KEY, description TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS secret (value BLOB NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS records (
    stream TEXT NOT NULL, shard TEXT NOT NULL, place INTEGER NOT NULL, sequence TEXT NOT NULL,
    arrival_ms INTEGER NOT NULL, partition_key TEXT NOT NULL, encrypted INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (stream, shard, place)) STRICT, WITHOUT ROWID;
  COMMIT;
`

/** Opens the file for this server alone, for as long as it lives. */
function openDatabase(folder: string): DatabaseSync {
  let database: DatabaseSync | undefined
  try {
    if (!existsSync(folder)) mkdirSync(folder)
    database = new DatabaseSync(join(folder, 'kinesis.sqlite'))
    database.exec(schema)
    return database
  } catch (cause) {
    database?.close()
    throw unusable(folder, cause as Error & { readonly errcode?: number })
  }
}

/** SQLITE_BUSY, SQLITE_CORRUPT, SQLITE_NOTADB. Source: https://sqlite.org/rescode.html */
const [busy, corrupt, noDatabase] = [5, 11, 26]

function unusable(folder: string, cause: Error & { readonly errcode?: number }): StreamError {
  const details = { file: folder }
  const code = (cause.errcode ?? 0) & 0xff
  if (code === busy) {
    const message = `the folder ${folder} is in use by another server; end that one, or name another folder`
    return new StreamError('conflict', message, { cause, details })
  }
  if (code === corrupt || code === noDatabase) {
    const message = `what is in ${folder} is not the store of a Kinesis server, or broken (${cause.message}); name another folder, or empty it`
    return new StreamError('corrupt', message, { cause, details })
  }
  const message = `the folder ${folder} cannot be used: ${cause.message}; name one that can be written to, in a folder that is there`
  return new StreamError(systemErrorCode(cause) ?? 'unavailable', message, { cause, details })
}

function nothing(): void {
  // There is nothing to keep.
}
