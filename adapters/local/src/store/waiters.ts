import type { MachineClock } from './clock.ts'
import type { Database } from './database.ts'
import type { StoreMessage } from './protocol.ts'
import type { Queue } from './queue.ts'

/** A call as it came in. */
export type Call = StoreMessage

/** How often the store looks whether another process has written, in milliseconds: at first, and after a while. */
const firstLookMs = 20
const lastLookMs = 100

/** Less than every count of commits. */
const neverLooked = -1

interface Waiter {
  readonly call: Call
  /** When it stops waiting, by the monotonic clock. */
  readonly until: number
  /** When a record that is out comes due for it, by the monotonic clock. */
  readonly due: number
}

/**
 * Reads and pulls that found nothing. What this process writes wakes them at once; for what other processes write,
 * the file's data version is looked at, 50 times a second at first and 10 times later.
 */
export class Waiters {
  readonly #database: Database
  readonly #machine: MachineClock
  readonly #queue: Queue
  readonly #wake: (calls: readonly Call[]) => void
  readonly #waiting = new Map<number, Waiter>()
  /** Given up waiting: answered with whatever there is, at once. */
  readonly #overdue = new Set<number>()
  #foreignCommits = neverLooked
  #lookMs = firstLookMs
  #timer: NodeJS.Timeout | undefined

  /** `wake` is called with the calls to try again. */
  constructor(database: Database, machine: MachineClock, queue: Queue, wake: (calls: readonly Call[]) => void) {
    this.#database = database
    this.#machine = machine
    this.#queue = queue
    this.#wake = wake
  }

  /** Lets the call wait; false when it has waited long enough and is to be answered with nothing. */
  add(call: Call): boolean {
    if (call.call !== 'read' && call.call !== 'pull') return false
    const now = this.#machine.monotonic()
    const before = this.#waiting.get(call.id)
    const until = before?.until ?? now + call.request.waitMs
    if (this.#overdue.has(call.id) || until <= now) {
      this.#overdue.delete(call.id)
      this.#waiting.delete(call.id)
      return false
    }
    const dueInMs = call.call === 'pull' ? this.#queue.dueInMs(call.request) : undefined
    this.#waiting.set(call.id, { call, until, due: dueInMs === undefined ? Infinity : now + dueInMs })
    if (this.#waiting.size === 1 && before === undefined) {
      // Another process may have written since the call found nothing: the first look tries it again in any case.
      this.#foreignCommits = neverLooked
      this.#lookMs = firstLookMs
    }
    this.#schedule()
    return true
  }

  /** Tries those again that may find something in what the calls have just written. */
  touch(writes: readonly Call[]): void {
    if (this.#waiting.size === 0 || writes.length === 0) return
    this.#retry((waiter) => writes.some((write) => mayFeed(write, waiter.call)))
  }

  /** Answers these at once, with what there is. */
  cancel(ids: ReadonlySet<number>): void {
    for (const id of ids) if (this.#waiting.has(id)) this.#overdue.add(id)
    if (this.#overdue.size > 0) this.#retry((waiter) => this.#overdue.has(waiter.call.id))
  }

  /** Answers all. */
  close(): void {
    this.cancel(new Set(this.#waiting.keys()))
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #retry(which: (waiter: Waiter) => boolean): void {
    const calls = [...this.#waiting.values()].filter(which).map((waiter) => waiter.call)
    if (calls.length === 0) return
    this.#wakeAll(calls)
  }

  /** A call that is served does not come back through {@link add}: it must be forgotten first, its deadline kept. */
  #wakeAll(calls: readonly Call[]): void {
    const before = new Map(calls.map((call) => [call.id, this.#waiting.get(call.id)]))
    this.#wake(calls)
    for (const [id, waiter] of before) if (this.#waiting.get(id) === waiter) this.#waiting.delete(id)
    for (const call of calls) this.#overdue.delete(call.id)
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#waiting.size === 0) return
    const now = this.#machine.monotonic()
    let delay = this.#lookMs
    for (const waiter of this.#waiting.values()) delay = Math.min(delay, waiter.until - now, waiter.due - now)
    this.#timer = setTimeout(() => this.#look(), Math.max(1, Math.ceil(delay)))
  }

  #look(): void {
    this.#timer = undefined
    const now = this.#machine.monotonic()
    const changed = this.#hasForeignCommits()
    this.#lookMs = changed ? firstLookMs : Math.min(lastLookMs, this.#lookMs * 1.1)
    for (const waiter of this.#waiting.values()) if (waiter.until <= now) this.#overdue.add(waiter.call.id)
    this.#retry((waiter) => changed || waiter.until <= now || waiter.due <= now)
    this.#schedule()
  }

  #hasForeignCommits(): boolean {
    try {
      const before = this.#foreignCommits
      this.#foreignCommits = this.#database.foreignCommits()
      return this.#foreignCommits !== before
    } catch {
      // The calls that wait are tried again, and answer with whatever is wrong with the file.
      return true
    }
  }
}

/** Writes that bring nobody a record. */
const progressCalls: ReadonlySet<string> = new Set([
  'commit',
  'replaceLease',
  'createLease',
  'removeLease',
  'writeEarlyAcks',
  'extend',
  'join',
  'leave',
])

/** Whether what `write` has stored may be what `wait` waits for. */
function mayFeed(write: Call, wait: Call): boolean {
  if (progressCalls.has(write.call)) return false
  if (write.call !== 'append') return true
  if (wait.call === 'pull') return write.request.parts.some((part) => part.topicId === wait.request.topicId)
  if (wait.call !== 'read') return false
  return write.request.parts.some((part) => wait.request.cursors.some((cursor) => cursor.partition === part.partition))
}
