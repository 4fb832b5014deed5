import { statSync } from 'node:fs'
// The only file that imports node:sqlite: its class is renamed in later versions of Node.
import { DatabaseSync } from 'node:sqlite'
import type { StatementSync } from 'node:sqlite'

/** Where a file was opened, and which one it was. */
interface Place {
  readonly file: string
  readonly identity: string
}

/** What is stored in a column. */
export type Value = string | number | bigint | null | Uint8Array

/** One connection to an SQLite file: statements by their text, and transactions. */
export class Database {
  /** The connection itself, for code that brings its own statements. */
  readonly raw: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()
  readonly #place: Place | undefined
  #dataVersion = 0
  #foreignCommits = 0
  #closed = false

  private constructor(raw: DatabaseSync, place: Place | undefined) {
    this.raw = raw
    this.#place = place
  }

  /** Opens or makes the file; `undefined` means in memory. */
  static open(file: string | undefined): Database {
    const raw = new DatabaseSync(file ?? ':memory:')
    return new Database(raw, file === undefined ? undefined : { file, identity: identityOf(file) })
  }

  /**
   * The path at which the file was opened and is no longer: it was deleted, moved or replaced, and who opens that path
   * now finds nothing of what is written here. `undefined`: all is well, or it is in memory.
   */
  lostPlace(): string | undefined {
    const place = this.#place
    return place === undefined || identityOf(place.file) === place.identity ? undefined : place.file
  }

  /** Runs statements that bring nothing back. */
  exec(sql: string): void {
    this.raw.exec(sql)
  }

  /** The first row. `T` names the columns the statement selects. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the one place where rows get their type
  get<T>(sql: string, ...values: readonly Value[]): T | undefined {
    return this.#statement(sql).get(...values) as T | undefined
  }

  /** Every row. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the one place where rows get their type
  all<T>(sql: string, ...values: readonly Value[]): readonly T[] {
    return this.#statement(sql).all(...values) as unknown as readonly T[]
  }

  /** Runs a statement and says how many rows it changed. */
  run(sql: string, ...values: readonly Value[]): number {
    return Number(this.#statement(sql).run(...values).changes)
  }

  /** Inserts a row and returns its rowid. */
  insert(sql: string, ...values: readonly Value[]): number {
    return Number(this.#statement(sql).run(...values).lastInsertRowid)
  }

  /** Grows whenever another connection has committed since the last call. */
  foreignCommits(): number {
    const version = this.get<{ data_version: number }>('PRAGMA data_version')?.data_version ?? 0
    if (version !== this.#dataVersion) {
      this.#dataVersion = version
      this.#foreignCommits++
    }
    return this.#foreignCommits
  }

  /** Undoes the open transaction. SQLite may have done so by itself after an error: then this does nothing. */
  rollback(): void {
    try {
      this.raw.exec('ROLLBACK')
    } catch {
      // No transaction was open. (`isTransaction`, which would tell, is not there before Node 22.16.)
    }
  }

  /** Undoes what was done since the savepoint and forgets it; false when the whole transaction is gone. */
  rollbackTo(savepoint: string): boolean {
    try {
      this.raw.exec(`ROLLBACK TO ${savepoint}; RELEASE ${savepoint}`)
      return true
    } catch {
      return false
    }
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.raw.close()
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.raw.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }
}

/** Of the file at a path, on this machine and while it is open; empty when there is none. */
function identityOf(file: string): string {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? '' : `${stats.dev}:${stats.ino}`
}
