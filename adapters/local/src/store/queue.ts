import { openBatch } from '../codec.ts'
import type { StoreClock } from './clock.ts'
import type { Database } from './database.ts'
import type { DeliveryToken, PulledRun, PullRequest, QueueGroup, QueueSettlement } from './protocol.ts'
import { lastLogKey, logKey } from './schema.ts'
import { topicDeleted } from './topics.ts'
import type { Topics } from './topics.ts'

interface Batch {
  readonly partition: number
  readonly base: number
  readonly count: number
  readonly time: number
  readonly body: Uint8Array
  /** Where each record begins, and the end behind the last. */
  readonly starts: readonly number[]
}

interface Due {
  readonly partition: number
  readonly record_offset: number
  readonly delivery: number
  readonly attempt: number
  readonly leased: number
}

/** A partition that holds records the group has not seen. */
interface Ahead {
  readonly id: number
  readonly next: number
  readonly firstDelivery: number
}

interface Taken {
  readonly offset: number
  readonly delivery: number
  readonly attempt: number
}

/** What is still wanted by one pull. */
interface Wanted {
  records: number
  bytes: number
}

/**
 * Competing consumers: a cursor for each group and partition, and one row for each record that was handed out and is
 * not settled. Attempts are in the row, so they outlive the process. Runs inside whatever transaction is open.
 */
export class Queue {
  readonly #database: Database
  readonly #topics: Topics
  readonly #clock: StoreClock
  /** The batch last looked at: pulls smaller than a batch come back to it. */
  #last: Batch | undefined
  #turn = 0

  constructor(database: Database, topics: Topics, clock: StoreClock) {
    this.#database = database
    this.#topics = topics
    this.#clock = clock
  }

  /** Whether a pull would bring something now. Throws `not-found` when the topic was deleted. Needs no transaction. */
  ready(group: QueueGroup): boolean {
    const due = this.#database.get(
      'SELECT 1 FROM queue_items WHERE topic_id = ? AND name = ? AND visible_at <= ? LIMIT 1',
      group.topicId,
      group.group,
      this.#clock.now(),
    )
    if (due !== undefined || this.#ahead(group).length > 0) return true
    if (!this.#topics.has(group.topicId)) throw topicDeleted()
    return false
  }

  /** Milliseconds until a record that is out comes due; `undefined` when none is out. */
  dueInMs(group: QueueGroup): number | undefined {
    const next = this.#database.get<{ at: number | null }>(
      'SELECT min(visible_at) AS at FROM queue_items WHERE topic_id = ? AND name = ?',
      group.topicId,
      group.group,
    )?.at
    return next === undefined || next === null ? undefined : Math.max(0, next - this.#clock.now())
  }

  /** Leases what is due again first, then new records. */
  pull(request: PullRequest): readonly PulledRun[] {
    const now = this.#clock.advance()
    const wanted: Wanted = { records: request.records, bytes: request.bytes }
    const runs = this.#pullDue(request, now, wanted)
    const ahead = this.#ahead(request)
    const turn = this.#turn++
    for (let i = 0; i < ahead.length && isWanted(wanted); i++) {
      const cursor = ahead[(i + turn) % ahead.length]
      if (cursor !== undefined) runs.push(...this.#pullNew(request, cursor, now, wanted))
    }
    return runs
  }

  #pullDue(request: PullRequest, now: number, wanted: Wanted): PulledRun[] {
    const rows = this.#database.all<Due>(
      `SELECT partition, record_offset, delivery, attempt, leased FROM queue_items
       WHERE topic_id = ? AND name = ? AND visible_at <= ? ORDER BY visible_at, partition, record_offset LIMIT ?`,
      request.topicId,
      request.group,
      now,
      request.records,
    )
    const runs: PulledRun[] = []
    for (const row of rows) {
      if (!isWanted(wanted)) break
      const batch = this.#batch(row.partition, row.record_offset)
      if (batch === undefined || batch.base > row.record_offset) {
        this.#forget(request, row.partition, row.record_offset)
        continue
      }
      // A lease that ran out counts as an attempt; what was retried has been counted, what was released has not.
      const taken = { offset: row.record_offset, delivery: row.delivery + 1, attempt: row.attempt + row.leased }
      this.#database.run(
        `UPDATE queue_items SET delivery = ?, attempt = ?, leased = 1, visible_at = ?
         WHERE topic_id = ? AND name = ? AND partition = ? AND record_offset = ?`,
        taken.delivery,
        taken.attempt,
        now + request.leaseMs,
        request.topicId,
        request.group,
        row.partition,
        row.record_offset,
      )
      runs.push(this.#run(batch, [taken], wanted))
    }
    return runs
  }

  #pullNew(request: PullRequest, cursor: Ahead, now: number, wanted: Wanted): PulledRun[] {
    const runs: PulledRun[] = []
    let at = cursor.next
    while (isWanted(wanted)) {
      const batch = this.#batch(cursor.id, at)
      if (batch === undefined) break
      at = Math.max(at, batch.base)
      const taken: Taken[] = []
      let bytes = wanted.bytes
      while (at < batch.base + batch.count && taken.length < wanted.records && bytes > 0) {
        bytes -= sizeOf(batch, at)
        this.#database.run(
          'INSERT OR REPLACE INTO queue_items VALUES (?, ?, ?, ?, ?, 1, 1, ?)',
          request.topicId,
          request.group,
          cursor.id,
          at,
          cursor.firstDelivery,
          now + request.leaseMs,
        )
        taken.push({ offset: at++, delivery: cursor.firstDelivery, attempt: 1 })
      }
      runs.push(this.#run(batch, taken, wanted))
    }
    this.#database.run(
      `INSERT INTO queue_cursors (topic_id, name, partition, next_offset) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset`,
      request.topicId,
      request.group,
      cursor.id,
      at,
    )
    return runs
  }

  /** Cuts a run of neighbouring records out of a batch and takes it off what is wanted. */
  #run(batch: Batch, taken: readonly Taken[], wanted: Wanted): PulledRun {
    const first = (taken[0]?.offset ?? batch.base) - batch.base
    const body = batch.body.slice(batch.starts[first], batch.starts[first + taken.length])
    wanted.records -= taken.length
    wanted.bytes -= body.length
    return {
      partition: batch.partition,
      timeMs: batch.time,
      offsets: taken.map((record) => record.offset),
      deliveries: taken.map((record) => record.delivery),
      attempts: taken.map((record) => record.attempt),
      body,
    }
  }

  /** Ends deliveries; false for one that is no longer the record's latest. */
  settle(group: QueueGroup, items: readonly QueueSettlement[]): readonly boolean[] {
    const now = this.#clock.advance()
    return items.map((item) => {
      if (item.retryAfterMs === undefined) {
        return this.#update('DELETE FROM queue_items WHERE leased = 1', group, item)
      }
      const visibleAt = now + Math.max(0, Math.ceil(item.retryAfterMs))
      return this.#update(
        'UPDATE queue_items SET leased = 0, attempt = attempt + 1, visible_at = ? WHERE leased = 1',
        group,
        item,
        visibleAt,
      )
    })
  }

  /** Prolongs leases that are still held, by `leaseMs` from now. */
  extend(group: QueueGroup, tokens: readonly DeliveryToken[], leaseMs: number): void {
    const visibleAt = this.#clock.advance() + leaseMs
    for (const token of tokens) {
      this.#update('UPDATE queue_items SET visible_at = ? WHERE leased = 1', group, token, visibleAt)
    }
  }

  /** Gives records back at once; it was not an attempt. */
  release(group: QueueGroup, tokens: readonly DeliveryToken[]): void {
    const now = this.#clock.advance()
    for (const token of tokens) {
      this.#update('UPDATE queue_items SET leased = 0, visible_at = ? WHERE leased = 1', group, token, now)
    }
  }

  #update(statement: string, group: QueueGroup, token: DeliveryToken, ...values: readonly number[]): boolean {
    const changed = this.#database.run(
      `${statement} AND topic_id = ? AND name = ? AND partition = ? AND record_offset = ? AND delivery = ?`,
      ...values,
      group.topicId,
      group.group,
      token.partition,
      token.offset,
      token.delivery,
    )
    return changed === 1
  }

  #forget(group: QueueGroup, partition: number, offset: number): void {
    this.#database.run(
      'DELETE FROM queue_items WHERE topic_id = ? AND name = ? AND partition = ? AND record_offset = ?',
      group.topicId,
      group.group,
      partition,
      offset,
    )
  }

  /** Partitions that hold records the group has not seen. */
  #ahead(group: QueueGroup): readonly Ahead[] {
    return this.#database.all(
      `SELECT partitions.id AS id, max(coalesce(queue_cursors.next_offset, 0), first_offset) AS next,
         coalesce(first_delivery, 1) AS firstDelivery
       FROM partitions LEFT JOIN queue_cursors
         ON queue_cursors.topic_id = partitions.topic_id AND queue_cursors.name = ? AND partition = partitions.id
       WHERE partitions.topic_id = ?
         AND partitions.next_offset > max(coalesce(queue_cursors.next_offset, 0), first_offset)
       ORDER BY partitions.id`,
      group.group,
      group.topicId,
    )
  }

  #batch(partition: number, offset: number): Batch | undefined {
    const last = this.#last
    if (last?.partition === partition && offset >= last.base && offset < last.base + last.count) return last
    const row = this.#database.get<{ base: number; count: number; time: number; body: Uint8Array }>(
      'SELECT base, count, time, body FROM log WHERE key BETWEEN ? AND ? ORDER BY key LIMIT 1',
      logKey(partition, offset),
      lastLogKey(partition),
    )
    if (row === undefined) return undefined
    const reader = openBatch(row.body, row.count, `offset ${row.base}`)
    const starts = [reader.at]
    for (let i = 0; i < row.count; i++) {
      reader.skip(1)
      starts.push(reader.at)
    }
    this.#last = { partition, ...row, starts }
    return this.#last
  }
}

function isWanted(wanted: Wanted): boolean {
  return wanted.records > 0 && wanted.bytes > 0
}

function sizeOf(batch: Batch, offset: number): number {
  const index = offset - batch.base
  return (batch.starts[index + 1] ?? 0) - (batch.starts[index] ?? 0)
}
