import { noPartition, RenewedMap, StreamError } from '@sluice/driver'
import type {
  Clock,
  Commit,
  Credit,
  IncomingRecord,
  LogSource,
  PartitionEvents,
  PartitionId,
  QueuedRecord,
  QueueSource,
  Settlement,
  SettleOutcome,
} from '@sluice/driver'
import { formatRun, parseRun, toRuns } from './runs.ts'
import type { Run } from './runs.ts'
import type { EarlyAckStore } from './support.ts'

/** How long a pull waits, in milliseconds. */
const waitMs = 1000

interface Entry {
  /** Without its body once it will not be wanted again. */
  record: IncomingRecord
  /** `out`: leased to the consumer. `back`: to be handed out again. `acked`: done, but something before it is not. */
  state: 'out' | 'back' | 'acked'
  token: string
  /** When the lease runs out, or when it may be handed out again; monotonic. */
  until: number
}

const nothing = new Uint8Array()

interface Part {
  readonly epoch: number
  /** What is not committed, in order. */
  entries: Entry[]
  /** What an earlier tenure has acknowledged ahead of the checkpoint. */
  early: Promise<readonly Run[]>
  /** Whether the store holds any of that. */
  hasEarly: boolean
  ended: boolean
  revoking: boolean
  /** Commits under way. */
  committing: number
  /** Called when nothing of it is out any more, and what was acknowledged is committed. */
  onQuiet: (() => void) | undefined
}

/** How a queue over a log behaves. */
export interface QueueBehaviour {
  readonly acks: EarlyAckStore
  readonly clock: Clock
  readonly leaseMs: number
  /** A record that comes again brings all later ones of its key with it, in order. Otherwise they overtake it. */
  readonly ordered: boolean
  /** Whether a retried record is held back for the delay asked for. */
  readonly retryDelay: boolean
}

/**
 * A partitioned log seen as an acknowledged queue without positions, as Pub/Sub and JetStream consumers are: records are
 * leased one by one, and what is not acknowledged comes again. A test double: leases and attempts are in memory, and what
 * is acknowledged behind a gap is kept as a list.
 */
export class QueueOverLog implements QueueSource, PartitionEvents {
  readonly shape = 'queue'
  readonly leaseMs: number
  readonly #behaviour: QueueBehaviour
  readonly #onFailed: (error: StreamError) => void
  readonly #parts = new Map<PartitionId, Part>()
  readonly #byToken = new RenewedMap<string, Entry>()
  #log: LogSource | undefined
  #nextToken = 1
  #wake = new AbortController()
  #closed = false

  constructor(behaviour: QueueBehaviour, onFailed: (error: StreamError) => void) {
    this.leaseMs = behaviour.leaseMs
    this.#behaviour = behaviour
    this.#onFailed = onFailed
  }

  /** Reads from this log, which must have been subscribed with this object as its events. */
  attach(log: LogSource): void {
    this.#log = log
  }

  assigned(partition: PartitionId, epoch: number): void {
    const early = this.#behaviour.acks
      .read()
      .then((all) => (all.find((acks) => acks.partition === partition)?.positions ?? []).map(parseRun))
    // A failed read surfaces in the pull that needs it.
    early.catch(() => undefined)
    const state = { ended: false, revoking: false, committing: 0, onQuiet: undefined, hasEarly: true }
    this.#parts.set(partition, { epoch, entries: [], early, ...state })
  }

  async revoking(partitions: readonly PartitionId[], deadlineMs: number): Promise<void> {
    await Promise.all(partitions.map((partition) => this.#giveUpQuietly(partition, deadlineMs)))
  }

  lost(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) {
      const part = this.#parts.get(partition)
      this.#parts.delete(partition)
      for (const entry of part?.entries ?? []) this.#byToken.delete(entry.token)
      part?.onQuiet?.()
    }
  }

  ended(partition: PartitionId): void {
    const part = this.#parts.get(partition)
    if (part === undefined) return
    part.ended = true
    if (part.entries.length === 0) void this.#commit(new Set([partition])).catch(() => undefined)
  }

  failed(error: StreamError): void {
    this.#onFailed(error)
  }

  async pull(credit: Credit, signal: AbortSignal): Promise<readonly QueuedRecord[]> {
    const { clock } = this.#behaviour
    const end = clock.monotonic() + waitMs
    while (!this.#closed && clock.monotonic() < end) {
      const due = this.#takeDue(credit)
      if (due.length > 0) return due
      const fresh = await this.#takeNew(credit, signal)
      if (fresh.length > 0) return fresh
    }
    return []
  }

  async settle(items: readonly Settlement[], signal: AbortSignal): Promise<readonly SettleOutcome[]> {
    if (signal.aborted) throw StreamError.aborted(signal, 'settle')
    this.#expire()
    const touched = new Set<PartitionId>()
    const found = items.map((item) => {
      const entry = this.#byToken.get(item.token)
      if (entry === undefined) return undefined
      touched.add(entry.record.partition)
      if (item.verb === 'ack') this.#take(entry, 'acked', 0)
      else this.#giveBack(entry, this.#behaviour.retryDelay ? item.delayMs : 0)
      return entry
    })
    // What waited for one of these may be due now.
    this.#wake.abort()
    const fencedParts = await this.#commit(touched)
    return found.map((entry): SettleOutcome =>
      entry === undefined || fencedParts.has(entry.record.partition) ? { ok: false, error: leaseOver() } : { ok: true },
    )
  }

  async extend(tokens: readonly string[]): Promise<void> {
    this.#expire()
    const until = this.#behaviour.clock.monotonic() + this.leaseMs
    for (const token of tokens) {
      const entry = this.#byToken.get(token)
      if (entry !== undefined) entry.until = until
    }
  }

  async release(tokens: readonly string[]): Promise<void> {
    for (const token of tokens) {
      const entry = this.#byToken.get(token)
      if (entry !== undefined) this.#giveBack(entry, 0)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake.abort()
    await this.#log?.close()
    this.lost([...this.#parts.keys()])
  }

  async #giveUpQuietly(partition: PartitionId, deadlineMs: number): Promise<void> {
    const part = this.#parts.get(partition)
    if (part === undefined) return
    await this.#quiet(part, deadlineMs)
    if (this.#parts.get(partition) === part) this.lost([partition])
  }

  /** Waits until nothing of the partition is out, and the commit of what was acknowledged is behind us. */
  async #quiet(part: Part, deadlineMs: number): Promise<void> {
    part.revoking = true
    if (isQuiet(part)) return
    await new Promise<void>((resolve) => {
      const timer = this.#behaviour.clock.after(deadlineMs, resolve)
      part.onQuiet = (): void => {
        timer.cancel()
        resolve()
      }
    })
  }

  #tellIfQuiet(part: Part | undefined): void {
    if (part !== undefined && isQuiet(part)) part.onQuiet?.()
  }

  #takeDue(credit: Credit): readonly QueuedRecord[] {
    this.#expire()
    const now = this.#behaviour.clock.monotonic()
    const taken: QueuedRecord[] = []
    let bytes = credit.bytes
    for (const part of this.#parts.values()) {
      if (part.revoking) continue
      for (const entry of part.entries) {
        if (taken.length >= credit.records || bytes <= 0) return taken
        if (entry.state !== 'back' || entry.until > now || this.#isHeld(part, entry)) continue
        bytes -= entry.record.body.length
        taken.push(this.#handOut(entry))
      }
    }
    return taken
  }

  async #takeNew(credit: Credit, signal: AbortSignal): Promise<readonly QueuedRecord[]> {
    const { clock } = this.#behaviour
    this.#wake = new AbortController()
    const wake = this.#wake
    const stop = (): void => wake.abort()
    const timer = clock.after(this.#nextDueMs(), stop)
    signal.addEventListener('abort', stop, { once: true })
    try {
      const records = await (this.#log?.poll(credit, wake.signal) ?? [])
      const handed: QueuedRecord[] = []
      for (const record of records) handed.push(...(await this.#receive(record)))
      return handed
    } catch (error) {
      if (!signal.aborted && wake.signal.aborted && StreamError.is(error, 'aborted')) return []
      throw error
    } finally {
      timer.cancel()
      signal.removeEventListener('abort', stop)
    }
  }

  /** A record whose key waits for an earlier one waits with it. */
  async #receive(record: IncomingRecord): Promise<readonly QueuedRecord[]> {
    const part = this.#parts.get(record.partition)
    const early = await part?.early
    if (part === undefined || this.#parts.get(record.partition) !== part) return []
    const offset = Number(record.position)
    const acked = early?.some(([first, last]) => first <= offset && offset <= last) === true
    const entry: Entry = { record, state: acked ? 'acked' : 'back', token: '', until: 0 }
    part.entries.push(entry)
    return acked || part.revoking || this.#isHeld(part, entry) ? [] : [this.#handOut(entry)]
  }

  /** In an ordered queue: whether an earlier record of the key must come first. */
  #isHeld(part: Part, entry: Entry): boolean {
    if (!this.#behaviour.ordered || entry.record.key === undefined) return false
    for (const other of part.entries) {
      if (other === entry) return false
      if (other.state === 'back' && other.record.key === entry.record.key) return true
    }
    return false
  }

  #handOut(entry: Entry): QueuedRecord {
    const token = String(this.#nextToken++)
    this.#take(entry, 'out', this.#behaviour.clock.monotonic() + this.leaseMs)
    entry.token = token
    this.#byToken.set(token, entry)
    return { ...entry.record, partition: noPartition, position: undefined, epoch: 0, token, attempt: undefined }
  }

  #take(entry: Entry, state: Entry['state'], until: number): void {
    this.#byToken.delete(entry.token)
    entry.state = state
    entry.until = until
    // In an ordered queue even what is acknowledged may come again, behind an earlier record of its key.
    if (state === 'acked' && !this.#behaviour.ordered) entry.record = { ...entry.record, body: nothing }
  }

  #giveBack(entry: Entry, delayMs: number): void {
    const until = this.#behaviour.clock.monotonic() + delayMs
    this.#take(entry, 'back', until)
    const { key, partition } = entry.record
    if (this.#behaviour.ordered && key !== undefined) {
      const entries = this.#parts.get(partition)?.entries ?? []
      for (const later of entries.slice(entries.indexOf(entry) + 1)) {
        if (later.record.key === key) this.#take(later, 'back', until)
      }
    }
    this.#tellIfQuiet(this.#parts.get(partition))
    this.#wake.abort()
  }

  #expire(): void {
    const now = this.#behaviour.clock.monotonic()
    for (const part of this.#parts.values()) {
      for (const entry of part.entries) if (entry.state === 'out' && entry.until <= now) this.#giveBack(entry, 0)
    }
  }

  /** When the next delivery runs out or comes back. What is due and still here is held by another, whose end wakes the pull. */
  #nextDueMs(): number {
    const now = this.#behaviour.clock.monotonic()
    let next = waitMs
    for (const part of this.#parts.values()) {
      for (const { state, until } of part.entries)
        if (state !== 'acked' && until > now) next = Math.min(next, until - now)
    }
    return Math.max(1, next)
  }

  /** Stores what is acknowledged behind a gap, so that it does not come again after a hand-over or a crash. */
  async #keepEarly(partition: PartitionId, part: Part): Promise<void> {
    const acked = part.entries.filter(({ state }) => state === 'acked')
    const runs = toRuns(acked.map(({ record }) => Number(record.position)))
    if (runs.length === 0 && !part.hasEarly) return
    part.hasEarly = runs.length > 0
    await this.#behaviour.acks.write({ partition, positions: runs.map(formatRun) })
  }

  /** Commits what has no gap before it. Returns the partitions that turned out to be somebody else's. */
  async #commit(partitions: ReadonlySet<PartitionId>): Promise<ReadonlySet<PartitionId>> {
    const parts = [...partitions].flatMap((partition) => {
      const part = this.#parts.get(partition)
      return part === undefined ? [] : [{ partition, part }]
    })
    const commits = parts.flatMap(({ partition, part }) => this.#toCommit(partition, part))
    for (const { part } of parts) part.committing++
    try {
      await Promise.all(parts.map(({ partition, part }) => this.#keepEarly(partition, part)))
      if (commits.length === 0 || this.#log === undefined) return new Set()
      const outcomes = await this.#log.commit(commits, new AbortController().signal)
      return new Set(commits.filter((_, index) => outcomes[index]?.ok !== true).map((commit) => commit.partition))
    } finally {
      for (const { part } of parts) {
        part.committing--
        this.#tellIfQuiet(part)
      }
    }
  }

  /** Takes what is settled off the head. */
  #toCommit(partition: PartitionId, part: Part): readonly Commit[] {
    const settled = part.entries.findIndex((entry) => entry.state !== 'acked')
    const done = part.entries.splice(0, settled < 0 ? part.entries.length : settled)
    const through = done.at(-1)?.record.position
    const ended = part.ended && part.entries.length === 0
    if (ended) this.#parts.delete(partition)
    return through === undefined && !ended ? [] : [{ partition, epoch: part.epoch, through, ended }]
  }
}

/** Whether the partition can be handed over without anything coming again. */
function isQuiet(part: Part): boolean {
  return part.committing === 0 && part.entries.every((entry) => entry.state !== 'out')
}

function leaseOver(): StreamError {
  return new StreamError('fenced', 'the lease of the record had run out, or it was settled before; it may come again')
}
