import type { Lease, PartitionId, Position } from '@sluice/driver'

/** What SQLite stores in a column this table uses. */
export type SqliteValue = string | number | null

/** The part of node:sqlite's `StatementSync` that is used. */
export interface SqliteStatement {
  run(...parameters: SqliteValue[]): { readonly changes: number | bigint }
  all(...parameters: SqliteValue[]): readonly unknown[]
}

/** The part of node:sqlite's `DatabaseSync` that is used. Any synchronous driver of the same shape will do. */
export interface SqliteDatabase {
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
}

/** Progress to store for one lease, accepted only from its present tenure. */
export interface LeaseCommit {
  readonly scope: string
  readonly partition: PartitionId
  /** The committing member; must be the stored owner. */
  readonly owner: string
  /** The tenure's fencing token; must be the stored epoch. */
  readonly epoch: number
  /** The last settled position; `undefined` keeps the stored one. */
  readonly through: Position | undefined
  /** Whether the partition ended and all of it is settled. Once stored as true it stays true. */
  readonly ended: boolean
}

/**
 * Leases in the SQLite table `leases`, through one connection the caller opened and closes. Every method is one
 * statement, so it is atomic by itself and takes part in whatever transaction the connection has open: a caller can
 * store output and progress in one. Methods throw what the database throws (`SQLITE_BUSY` among them).
 *
 * Versions start at a random number and grow by one with each write, so that a lease which was removed and created
 * again is not taken for the old one.
 */
export class SqliteLeaseTable {
  readonly #list: SqliteStatement
  readonly #create: SqliteStatement
  readonly #replace: SqliteStatement
  readonly #remove: SqliteStatement
  readonly #commit: SqliteStatement

  private constructor(database: SqliteDatabase) {
    this.#list = database.prepare('SELECT * FROM leases WHERE scope = ? ORDER BY partition')
    this.#create = database.prepare(
      `INSERT INTO leases (scope, partition, owner, epoch, handoff_to, checkpoint, ended, parents, version)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1 + abs(random() % 1000000000000)) ON CONFLICT DO NOTHING`,
    )
    this.#replace = database.prepare(
      `UPDATE leases SET owner = ?, epoch = ?, handoff_to = ?, checkpoint = ?, ended = ?, parents = ?, version = version + 1
       WHERE scope = ? AND partition = ? AND version = ?`,
    )
    this.#remove = database.prepare('DELETE FROM leases WHERE scope = ? AND partition = ? AND version = ?')
    this.#commit = database.prepare(
      `UPDATE leases SET checkpoint = coalesce(?, checkpoint), ended = max(ended, ?), version = version + 1
       WHERE scope = ? AND partition = ? AND owner = ? AND epoch = ?`,
    )
  }

  /** Creates the table unless it exists and prepares the statements on this connection. */
  static open(database: SqliteDatabase): SqliteLeaseTable {
    database.exec(
      `CREATE TABLE IF NOT EXISTS leases (
         scope TEXT NOT NULL,
         partition TEXT NOT NULL,
         owner TEXT,
         epoch INTEGER NOT NULL,
         handoff_to TEXT,
         checkpoint TEXT,
         ended INTEGER NOT NULL,
         parents TEXT NOT NULL,
         version INTEGER NOT NULL,
         PRIMARY KEY (scope, partition)
       ) WITHOUT ROWID`,
    )
    return new SqliteLeaseTable(database)
  }

  /** Every lease of the scope, by partition id. */
  list(scope: string): readonly Lease[] {
    return this.#list.all(scope).map((row) => toLease(row as LeaseRow))
  }

  /** Adds the lease unless there is one of that scope and partition; says whether it did. `lease.version` is ignored. */
  create(lease: Lease): boolean {
    const { scope, partition, owner, epoch, handoffTo, checkpoint, ended, parents } = lease
    const result = this.#create.run(
      scope,
      partition,
      owner ?? null,
      epoch,
      handoffTo ?? null,
      checkpoint ?? null,
      ended ? 1 : 0,
      JSON.stringify(parents),
    )
    return changedOne(result)
  }

  /** Replaces the lease if the stored one still has `lease.version`; returns it as stored, else `undefined`. */
  replace(lease: Lease): Lease | undefined {
    const { scope, partition, owner, epoch, handoffTo, checkpoint, ended, parents, version } = lease
    const result = this.#replace.run(
      owner ?? null,
      epoch,
      handoffTo ?? null,
      checkpoint ?? null,
      ended ? 1 : 0,
      JSON.stringify(parents),
      scope,
      partition,
      version,
    )
    return changedOne(result) ? { ...lease, version: version + 1 } : undefined
  }

  /** Deletes the lease if the stored one still has `lease.version`; says whether it did. */
  remove(lease: Lease): boolean {
    return changedOne(this.#remove.run(lease.scope, lease.partition, lease.version))
  }

  /**
   * Stores progress if `owner` and `epoch` are still the stored ones; false means fenced, and the caller rolls its
   * transaction back. Needs no version: it changes nothing that a renewal or a hand-off request writes. It does raise
   * the version, and so counts as a sign of life; the coordinator adopts the new version by itself.
   */
  commit(commit: LeaseCommit): boolean {
    const { scope, partition, owner, epoch, through, ended } = commit
    return changedOne(this.#commit.run(through ?? null, ended ? 1 : 0, scope, partition, owner, epoch))
  }
}

interface LeaseRow {
  readonly scope: string
  readonly partition: string
  readonly owner: string | null
  readonly epoch: number
  readonly handoff_to: string | null
  readonly checkpoint: string | null
  readonly ended: number
  readonly parents: string
  readonly version: number
}

function toLease(row: LeaseRow): Lease {
  return {
    scope: row.scope,
    partition: row.partition,
    owner: row.owner ?? undefined,
    epoch: row.epoch,
    handoffTo: row.handoff_to ?? undefined,
    checkpoint: (row.checkpoint ?? undefined) as Position | undefined,
    ended: row.ended === 1,
    parents: JSON.parse(row.parents) as readonly PartitionId[],
    version: row.version,
  }
}

function changedOne(result: { readonly changes: number | bigint }): boolean {
  return Number(result.changes) === 1
}
