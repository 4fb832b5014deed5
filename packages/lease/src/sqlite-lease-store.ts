import { StreamError } from '@sluice/driver'
import type { Lease, LeaseStore } from '@sluice/driver'
import { SqliteLeaseTable } from './sqlite-lease-table.ts'
import type { SqliteDatabase } from './sqlite-lease-table.ts'

/**
 * A lease store in an SQLite database, for the members of one machine. Each call runs synchronously on the caller's
 * thread for one indexed statement. The connection stays the caller's: give it a `busy_timeout` when several processes
 * write, and close it after the coordinators. A busy database rejects with `unavailable`, anything else with `internal`.
 */
export class SqliteLeaseStore implements LeaseStore {
  readonly #table: SqliteLeaseTable

  private constructor(table: SqliteLeaseTable) {
    this.#table = table
  }

  /** Creates the table `leases` unless it exists. */
  static open(database: SqliteDatabase): SqliteLeaseStore {
    return new SqliteLeaseStore(SqliteLeaseTable.open(database))
  }

  async list(scope: string): Promise<readonly Lease[]> {
    return attempt('list', () => this.#table.list(scope))
  }

  async create(lease: Lease): Promise<boolean> {
    return attempt('create', () => this.#table.create(lease))
  }

  async replace(lease: Lease): Promise<Lease | undefined> {
    return attempt('replace', () => this.#table.replace(lease))
  }

  async remove(lease: Lease): Promise<boolean> {
    return attempt('remove', () => this.#table.remove(lease))
  }
}

const busyOrLocked: readonly number[] = [5, 6]

function attempt<T>(operation: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (isBusy(cause)) {
      throw new StreamError('unavailable', `lease table is locked by another connection (${operation}); try again`, {
        cause,
      })
    }
    throw StreamError.from(cause, `lease table cannot ${operation}`)
  }
}

function isBusy(cause: unknown): boolean {
  if (typeof cause !== 'object' || cause === null || !('errcode' in cause)) return false
  return typeof cause.errcode === 'number' && busyOrLocked.includes(cause.errcode & 0xff)
}
