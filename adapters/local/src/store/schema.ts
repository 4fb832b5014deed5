import { accessSync, constants, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { StreamError } from '@sluice/driver'
import { openBatch } from '../codec.ts'
import { Database } from './database.ts'

/** The name of the file in the folder. */
const fileName = 'sluice.db'

/** Marks a file as ours: "SLUI". */
const applicationId = 0x534c5549
const schemaVersion = 1
const pageSize = 16_384

/** How to open the store. */
export interface StoreOptions {
  /** `undefined`: in memory. Made when it does not exist. */
  readonly folder: string | undefined
  readonly durability: 'full' | 'normal'
  readonly busyMs: number
  readonly maxPages: number | undefined
}

/*
 * One row of `log` for each appended batch: a rowid table with a composed key (partition << 42 | last offset), so that
 * a batch is found by any of its offsets and there is no second tree to write. Measured against a separate unique
 * index and against WITHOUT ROWID, whose inner pages carry the blobs: reads are the fastest of the three, appends as
 * fast as the best within the noise.
 */
const tables = `
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    topic_order TEXT NOT NULL,
    retention_ms INTEGER,
    retention_bytes INTEGER,
    generation INTEGER NOT NULL
  );
  CREATE TABLE partitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    place INTEGER NOT NULL,
    ended INTEGER NOT NULL DEFAULT 0,
    parents TEXT NOT NULL DEFAULT '[]',
    next_offset INTEGER NOT NULL DEFAULT 0,
    first_offset INTEGER NOT NULL DEFAULT 0,
    last_time INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
  );
  CREATE UNIQUE INDEX partitions_of_topic ON partitions (topic_id, name);
  CREATE TABLE log (
    key INTEGER PRIMARY KEY,
    base INTEGER NOT NULL,
    count INTEGER NOT NULL,
    time INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    ids BLOB NOT NULL,
    body BLOB NOT NULL
  );
  CREATE TABLE members (
    topic_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (topic_id, name, owner)
  ) WITHOUT ROWID;
  CREATE TABLE queue_cursors (
    topic_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    first_delivery INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (topic_id, name, partition)
  ) WITHOUT ROWID;
  CREATE TABLE queue_items (
    topic_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    partition INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    leased INTEGER NOT NULL,
    visible_at INTEGER NOT NULL,
    PRIMARY KEY (topic_id, name, partition, record_offset)
  ) WITHOUT ROWID;
  CREATE INDEX queue_items_due ON queue_items (topic_id, name, visible_at);
  CREATE TABLE early_acks (
    topic_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    partition TEXT NOT NULL,
    positions TEXT NOT NULL,
    PRIMARY KEY (topic_id, name, partition)
  ) WITHOUT ROWID;
  CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`

/** Opens the store, makes it when it is new, and looks whether it is sound. Throws native errors and StreamErrors. */
export function openStore(options: StoreOptions): Database {
  const file = options.folder === undefined ? undefined : join(options.folder, fileName)
  if (options.folder !== undefined && file !== undefined) {
    makeFolder(options.folder)
    checkUsable(options.folder, file)
  }
  const database = Database.open(file)
  try {
    database.exec(`PRAGMA busy_timeout = ${Math.max(options.busyMs, 1000)}`)
    if (file === undefined || isEmpty(file)) database.exec(`PRAGMA page_size = ${pageSize}`)
    withRetries(() => {
      database.exec('PRAGMA journal_mode = WAL')
    })
    database.exec(`PRAGMA synchronous = ${options.durability === 'full' ? 'FULL' : 'NORMAL'}`)
    database.exec('PRAGMA wal_autocheckpoint = 250')
    database.exec('PRAGMA temp_store = MEMORY')
    makeTables(database, options.folder ?? 'memory')
    checkTails(database)
    if (file !== undefined) checkSize(database, file)
    if (options.maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${options.maxPages}`)
    database.exec(`PRAGMA busy_timeout = ${options.busyMs}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/**
 * Makes the folder, and those above it. Not by `recursive`: where a file system says ENOENT to whatever is to be made, as
 * /proc does, Node tries for ever.
 */
function makeFolder(folder: string): void {
  if (isFolder(folder)) return
  const above = dirname(folder)
  if (above !== folder) makeFolder(above)
  try {
    mkdirSync(folder)
  } catch (error) {
    // Another process was first.
    if (!isFolder(folder)) throw error
  }
}

/** SQLite says of all this no more than that it cannot open the file. */
function checkUsable(folder: string, file: string): void {
  accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  if (isFolder(file)) throw Object.assign(new Error(`${fileName} is a folder`), { code: 'EISDIR' })
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch {
    return false
  }
}

function isEmpty(file: string): boolean {
  return (statSync(file, { throwIfNoEntry: false })?.size ?? 0) === 0
}

/** Changing the journal mode does not wait for other connections as statements do. */
function withRetries(run: () => void): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let left = 100; ; left--) {
    try {
      return run()
    } catch (error) {
      const busy =
        typeof error === 'object' && error !== null && 'errcode' in error && (Number(error.errcode) & 0xff) === 5
      if (!busy || left === 0) throw error
      Atomics.wait(pause, 0, 0, 20)
    }
  }
}

function makeTables(database: Database, where: string): void {
  if (readVersion(database, where) === schemaVersion) return
  database.exec('BEGIN IMMEDIATE')
  try {
    if (readVersion(database, where) !== schemaVersion) {
      database.exec(tables)
      database.exec(`PRAGMA application_id = ${applicationId}`)
      database.exec(`PRAGMA user_version = ${schemaVersion}`)
    }
    database.exec('COMMIT')
  } catch (error) {
    database.rollback()
    throw error
  }
}

/** 0 for a file that has no tables yet. Throws `corrupt` and `unsupported` for files of others and of later versions. */
function readVersion(database: Database, where: string): number {
  const version = database.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0
  const id = database.get<{ application_id: number }>('PRAGMA application_id')?.application_id ?? 0
  const named = database.get<{ tables: number }>('SELECT count(*) AS tables FROM sqlite_schema')?.tables ?? 0
  if (id === 0 && version === 0 && named === 0) return 0
  if (id !== applicationId) {
    throw new StreamError(
      'corrupt',
      `${where} holds an SQLite file of another program; take another folder, or move that file away`,
    )
  }
  if (version > schemaVersion) {
    throw new StreamError(
      'unsupported',
      `${where} was written by a later version of Sluice (format ${version}, this one reads ${schemaVersion}); update @sluice/local`,
    )
  }
  return version
}

/** Reads the newest batch of the open partitions: a torn or truncated file shows there first. */
function checkTails(database: Database): void {
  const tails = database.all<{ id: number; name: string; topic: string; next_offset: number; first_offset: number }>(
    `SELECT partitions.id AS id, partitions.name AS name, topics.name AS topic, next_offset, first_offset
     FROM partitions JOIN topics ON topics.id = topic_id WHERE ended = 0 AND next_offset > first_offset LIMIT 64`,
  )
  for (const tail of tails) {
    const where = `offset ${tail.next_offset - 1} of partition ${tail.name} of topic "${tail.topic}"`
    const row = database.get<{ body: Uint8Array; count: number }>(
      'SELECT count, body FROM log WHERE key = ?',
      logKey(tail.id, tail.next_offset - 1),
    )
    if (row === undefined) {
      throw new StreamError('corrupt', `the batch that ends at ${where} is missing; restore the folder from a copy`)
    }
    openBatch(row.body, row.count, where)
  }
}

/** A file that was copied in part is shorter than its own header says, unless the rest is still in the write-ahead log. */
function checkSize(database: Database, file: string): void {
  const pages = database.get<{ page_count: number }>('PRAGMA page_count')?.page_count ?? 0
  const size = database.get<{ page_size: number }>('PRAGMA page_size')?.page_size ?? pageSize
  const walBytes = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
  const fileBytes = statSync(file).size
  if (walBytes === 0 && fileBytes < pages * size) {
    throw new StreamError(
      'corrupt',
      `${file} is cut short: ${fileBytes} bytes of ${pages * size}; restore the folder from a copy`,
    )
  }
}

/** The key of the batch that ends at `lastOffset`. */
export function logKey(partition: number, lastOffset: number): bigint {
  return (BigInt(partition) << 42n) | BigInt(lastOffset)
}

/** The highest key a partition can have. */
export function lastLogKey(partition: number): bigint {
  return (BigInt(partition + 1) << 42n) - 1n
}
