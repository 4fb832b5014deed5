import { StreamError } from '@sluice/driver'
import type { Lease, PartitionLag, StartFrom } from '@sluice/driver'
import type { SqliteLeaseTable } from '@sluice/lease'
import { toOffset, toPosition } from '../position.ts'
import type { StoreClock } from './clock.ts'
import type { Database } from './database.ts'
import type { Log } from './log.ts'
import { isDeadOwner, memberOf } from './owners.ts'
import type { Cursor } from './protocol.ts'
import { lastLogKey, logKey } from './schema.ts'
import { parentsOf } from './topics.ts'
import type { PartitionRow, Topics } from './topics.ts'

/** Names a group on a log topic in the lease table. */
export function scopeOf(topicId: number, group: string): string {
  return `${topicId}/${group}`
}

/** A partition, and the first offset wanted in it. */
type Place = readonly [PartitionRow, number]

/** What {@link Groups} works with. */
export interface GroupParts {
  readonly database: Database
  readonly leases: SqliteLeaseTable
  readonly topics: Topics
  readonly log: Log
  readonly clock: StoreClock
  /** This machine, as owners' names show it. */
  readonly host: string
}

/** The progress of groups: leases on log topics, cursors on queue topics. */
export class Groups {
  readonly #database: Database
  readonly #leases: SqliteLeaseTable
  readonly #topics: Topics
  readonly #log: Log
  readonly #clock: StoreClock
  readonly #host: string

  constructor(parts: GroupParts) {
    this.#database = parts.database
    this.#leases = parts.leases
    this.#topics = parts.topics
    this.#log = parts.log
    this.#clock = parts.clock
    this.#host = parts.host
  }

  /** Registers the member and fixes where partitions without progress begin. */
  join(topic: string, group: string, owner: string, start: StartFrom): void {
    const info = this.#topics.info(topic)
    this.#forgetDeadMembers(info.id, group)
    this.#database.run('INSERT OR REPLACE INTO members (topic_id, name, owner) VALUES (?, ?, ?)', info.id, group, owner)
    const known = this.#progress(info.id, group)
    // Partitions that came after the group began go on where their parents ended.
    const from: StartFrom = known.size === 0 ? start : { kind: 'earliest' }
    for (const [row, offset] of this.#places(info.id, from)) {
      if (known.has(row.name)) continue
      if (info.order === 'none') this.#setCursor(info.id, group, row, offset)
      else this.#leases.create(startLease(scopeOf(info.id, group), row, offset))
    }
  }

  /** Gives every group its progress in partitions that are new, so that they begin where their parents end. */
  extend(topic: string): void {
    const info = this.#topics.info(topic)
    if (info.order === 'none') return
    for (const group of this.list(topic)) {
      const known = this.#progress(info.id, group)
      if (known.size === 0) continue
      for (const row of this.#topics.partitions(info.id)) {
        if (!known.has(row.name)) this.#leases.create(startLease(scopeOf(info.id, group), row, 0))
      }
    }
  }

  leave(topicId: number, group: string, owner: string): void {
    this.#database.run('DELETE FROM members WHERE topic_id = ? AND name = ? AND owner = ?', topicId, group, owner)
  }

  /** Where a reader without a group begins. */
  place(topic: string, start: StartFrom): readonly Cursor[] {
    return this.#places(this.#topics.id(topic), start).map(([row, offset]) => ({ partition: row.id, offset }))
  }

  list(topic: string): readonly string[] {
    const id = this.#topics.id(topic)
    const scopes = this.#database.all<{ name: string }>(
      'SELECT DISTINCT substr(scope, ?) AS name FROM leases WHERE scope >= ? AND scope < ?',
      `${id}/`.length + 1,
      `${id}/`,
      `${id}0`,
    )
    const cursors = this.#database.all<{ name: string }>(
      'SELECT DISTINCT name FROM queue_cursors WHERE topic_id = ?',
      id,
    )
    const members = this.#database.all<{ name: string }>('SELECT DISTINCT name FROM members WHERE topic_id = ?', id)
    return [...new Set([...scopes, ...cursors, ...members].map((row) => row.name))].toSorted()
  }

  /** Forgets the group. Throws `conflict` while members run, `not-found` when there is no such group. */
  delete(topic: string, group: string): void {
    const id = this.#topics.id(topic)
    if (this.hasMembers(topic, group)) throw membersRun(topic, group, 'be deleted')
    if (this.#progress(id, group).size === 0) return
    this.#database.run('DELETE FROM leases WHERE scope = ?', scopeOf(id, group))
    for (const table of ['queue_cursors', 'queue_items', 'members', 'early_acks']) {
      this.#database.run(`DELETE FROM ${table} WHERE topic_id = ? AND name = ?`, id, group)
    }
  }

  /** Whether members are there that are not known to be dead. */
  hasMembers(topic: string, group: string): boolean {
    return this.#members(this.#topics.id(topic), group).some((owner) => !isDeadOwner(owner, this.#host))
  }

  /**
   * Moves the group; partitions that a position is not named for stay where they are. Running members lose the
   * partitions that move, and take them again at the new place.
   */
  seek(topic: string, group: string, to: StartFrom): void {
    const info = this.#topics.info(topic)
    const known = this.#progress(info.id, group)
    const stays = (row: PartitionRow): boolean =>
      to.kind === 'position' && to.positions[row.name] === undefined && known.has(row.name)
    const places = this.#places(info.id, to).filter(([row]) => !stays(row))
    for (const [row] of places) this.#forgetDeliveries(info.id, group, row)
    if (info.order === 'none') for (const [row, offset] of places) this.#setCursor(info.id, group, row, offset)
    else this.#moveLeases(scopeOf(info.id, group), places)
  }

  /** What the group has out of a partition, or has acknowledged ahead of its progress. */
  #forgetDeliveries(topicId: number, group: string, row: PartitionRow): void {
    const where = 'WHERE topic_id = ? AND name = ? AND partition = ?'
    this.#database.run(`DELETE FROM early_acks ${where}`, topicId, group, row.name)
    this.#database.run(`DELETE FROM queue_items ${where}`, topicId, group, row.id)
  }

  #moveLeases(scope: string, places: readonly Place[]): void {
    const leases = new Map(this.#leases.list(scope).map((lease) => [lease.partition, lease]))
    for (const [row, offset] of places) {
      const fresh = startLease(scope, row, offset)
      const lease = leases.get(row.name)
      if (lease === undefined) this.#leases.create(fresh)
      else this.#leases.replace({ ...fresh, epoch: lease.epoch + 1, version: lease.version })
    }
  }

  lag(topic: string, group: string, nowMs: number): readonly PartitionLag[] {
    const info = this.#topics.info(topic)
    const lags = info.order === 'none' ? this.#queueLag(info.id, group, nowMs) : this.#logLag(info.id, group, nowMs)
    if (lags !== undefined) return lags
    throw new StreamError(
      'not-found',
      `group "${group}" is not known on topic "${topic}"; it is once a consumer of it has started`,
      {
        details: { topic, group },
      },
    )
  }

  #logLag(topicId: number, group: string, nowMs: number): readonly PartitionLag[] | undefined {
    const leases = new Map(this.#leases.list(scopeOf(topicId, group)).map((lease) => [lease.partition, lease]))
    if (leases.size === 0) return undefined
    return this.#topics
      .partitions(topicId)
      .filter((row) => leases.get(row.name)?.ended !== true)
      .map((row) => {
        const lease = leases.get(row.name)
        const checkpoint = lease?.checkpoint
        const next = Math.max(checkpoint === undefined ? 0 : toOffset(checkpoint, row.name) + 1, row.first_offset)
        return {
          partition: row.name,
          messages: Math.max(0, row.next_offset - next),
          ageMs: this.#age(row, next, nowMs),
          committed: checkpoint,
          owner: lease?.owner === undefined ? undefined : memberOf(lease.owner),
        }
      })
  }

  #queueLag(topicId: number, group: string, nowMs: number): readonly PartitionLag[] | undefined {
    if (this.#progress(topicId, group).size === 0) return undefined
    const cursors = this.#cursors(topicId, group)
    return this.#topics.partitions(topicId).map((row) => {
      const next = Math.max(cursors.get(row.id) ?? 0, row.first_offset)
      const out = this.#database.get<{ items: number; first: number | null }>(
        `SELECT count(*) AS items, min(record_offset) AS first FROM queue_items
         WHERE topic_id = ? AND name = ? AND partition = ?`,
        topicId,
        group,
        row.id,
      )
      return {
        partition: row.name,
        messages: row.next_offset - next + (out?.items ?? 0),
        ageMs: this.#age(row, out?.first ?? next, nowMs),
        committed: undefined,
        owner: undefined,
      }
    })
  }

  #age(row: PartitionRow, next: number, nowMs: number): number {
    if (next >= row.next_offset) return 0
    const batch = this.#database.get<{ time: number }>(
      'SELECT time FROM log WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1',
      logKey(row.id, next),
      lastLogKey(row.id),
    )
    return batch === undefined ? 0 : Math.max(0, nowMs - batch.time)
  }

  /** The first offset wanted in every partition. */
  #places(topicId: number, start: StartFrom): readonly Place[] {
    const rows = this.#topics.partitions(topicId)
    if (start.kind === 'position') refuseUnknown(start.positions, rows)
    return rows.map((row) => [row, this.#placeIn(row, start)])
  }

  #placeIn(row: PartitionRow, start: StartFrom): number {
    if (start.kind === 'earliest') return 0
    if (start.kind === 'latest') return row.next_offset
    if (start.kind === 'time') return this.#log.offsetAtTime(row.id, start.timeMs, row.next_offset)
    const position = start.positions[row.name]
    return position === undefined ? 0 : Math.min(Math.max(0, toOffset(position, row.name)), row.next_offset)
  }

  /** Names of the partitions in which the group has progress. */
  #progress(topicId: number, group: string): ReadonlySet<string> {
    const leases = this.#leases.list(scopeOf(topicId, group)).map((lease) => lease.partition)
    const cursors = this.#database.all<{ name: string }>(
      `SELECT partitions.name AS name FROM queue_cursors JOIN partitions ON partitions.id = partition
       WHERE queue_cursors.topic_id = ? AND queue_cursors.name = ?`,
      topicId,
      group,
    )
    return new Set([...leases, ...cursors.map((row) => row.name)])
  }

  #cursors(topicId: number, group: string): ReadonlyMap<number, number> {
    const rows = this.#database.all<{ partition: number; next_offset: number }>(
      'SELECT partition, next_offset FROM queue_cursors WHERE topic_id = ? AND name = ?',
      topicId,
      group,
    )
    return new Map(rows.map((row) => [row.partition, row.next_offset]))
  }

  #setCursor(topicId: number, group: string, row: PartitionRow, offset: number): void {
    this.#database.run(
      'INSERT OR REPLACE INTO queue_cursors VALUES (?, ?, ?, ?, ?)',
      topicId,
      group,
      row.id,
      offset,
      // Deliveries are numbered from here on, so that none from before the move is taken for one after it.
      this.#clock.advance() * 1024,
    )
  }

  #members(topicId: number, group: string): readonly string[] {
    const rows = this.#database.all<{ owner: string }>(
      'SELECT owner FROM members WHERE topic_id = ? AND name = ?',
      topicId,
      group,
    )
    return rows.map((row) => row.owner)
  }

  #forgetDeadMembers(topicId: number, group: string): void {
    for (const owner of this.#members(topicId, group)) {
      if (isDeadOwner(owner, this.#host)) this.leave(topicId, group, owner)
    }
  }
}

/** The error for what needs a group at rest. */
export function membersRun(topic: string, group: string, what: string): StreamError {
  return new StreamError(
    'conflict',
    `group "${group}" of topic "${topic}" has running members and cannot ${what} now; close its consumers first`,
    { details: { topic, group } },
  )
}

/** A lease nobody holds, which begins at `offset`. A partition with nothing left to read is done from the start. */
function startLease(scope: string, row: PartitionRow, offset: number): Lease {
  return {
    scope,
    partition: row.name,
    owner: undefined,
    epoch: 0,
    handoffTo: undefined,
    checkpoint: offset === 0 ? undefined : toPosition(offset - 1),
    ended: row.ended === 1 && Math.max(offset, row.first_offset) >= row.next_offset,
    parents: parentsOf(row),
    version: 0,
  }
}

function refuseUnknown(positions: Readonly<Record<string, unknown>>, rows: readonly PartitionRow[]): void {
  for (const name of Object.keys(positions)) {
    if (rows.some((row) => row.name === name)) continue
    const known = rows.map((row) => row.name).join(', ')
    throw new StreamError('not-found', `there is no partition "${name}"; the topic has ${known}`)
  }
}
