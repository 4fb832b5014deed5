import { StreamError } from '@sluice/driver'
import type {
  Clock,
  Commit,
  CommitOutcome,
  Credit,
  IncomingRecord,
  LogSource,
  PartitionEvents,
  PartitionId,
  Position,
  Timer,
} from '@sluice/driver'
import type { Membership } from './membership.ts'
import type { PartitionReader, PartitionReading, PartitionTenure } from './partition-reading.ts'

/** How long a poll waits for records, in milliseconds. */
const pollMs = 1_000

/** What the backend gives a {@link LeasedLogSource}. */
export interface LeasedLogSourceOptions<Start> {
  readonly topic: string
  readonly clock: Clock
  readonly events: PartitionEvents
  /** Begins to read a partition. */
  read(partition: PartitionId, epoch: number, from: Start): PartitionReading
  /** Where reading begins whose first record is to be the one at that position. */
  startAt(partition: PartitionId, position: Position): Start
  /** The partitions that come after one that has ended. */
  childrenOf(partition: PartitionId): readonly PartitionId[]
  readonly onClosed: () => void
}

/** Those that may be read now. */
type Active = readonly (readonly [PartitionId, Held])[]

interface Held {
  readonly epoch: number
  readonly reading: PartitionReading
}

/**
 * Reads those partitions of a topic that its membership gives it: a `LogSource` for backends that do not balance groups
 * themselves. The backend brings a {@link PartitionReading} for each partition.
 */
export class LeasedLogSource<Start> implements LogSource, PartitionReader<Start> {
  readonly shape = 'log'
  readonly #options: LeasedLogSourceOptions<Start>
  readonly #held = new Map<PartitionId, Held>()
  readonly #paused = new Set<PartitionId>()
  readonly #ended = new Set<PartitionId>()
  /** Readings that were given up and still let go of what they hold. */
  readonly #leaving = new Set<Promise<void>>()
  #membership: Membership | undefined
  #turn = 0
  #woken: PromiseWithResolvers<void> | undefined
  /** Ends a poll that waits. One for all polls: it is left to fire when its own poll is over. */
  #timer: Timer | undefined
  #heeded: AbortSignal | undefined
  readonly #onAbort = (): void => this.wake()
  #polling: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(options: LeasedLogSourceOptions<Start>) {
    this.#options = options
  }

  /** Takes part from now on. */
  async start(membership: Membership): Promise<void> {
    this.#membership = membership
    await membership.start()
  }

  /** Something changed: there are records, an end was reached, or a pause after trouble is over. */
  wake(): void {
    this.#woken?.resolve()
  }

  assign(partition: PartitionId, epoch: number, from: Start): void {
    if (this.#closing !== undefined) return
    this.#drop(partition)
    const reading = this.#options.read(partition, epoch, from)
    this.#held.set(partition, { epoch, reading })
    this.#options.events.assigned(partition, epoch)
    reading.want()
    this.wake()
  }

  tenuresOf(partitions: readonly PartitionId[]): readonly PartitionTenure[] {
    return partitions.flatMap((partition) => {
      const held = this.#held.get(partition)
      return held === undefined ? [] : [{ partition, epoch: held.epoch }]
    })
  }

  withdraw(tenures: readonly PartitionTenure[]): boolean {
    const gone = tenures.filter(({ partition, epoch }) => this.#held.get(partition)?.epoch === epoch)
    for (const { partition } of gone) {
      this.#drop(partition)
      this.#paused.delete(partition)
    }
    this.wake()
    return gone.length > 0
  }

  topicChanged(): void {
    for (const { reading } of this.#held.values()) reading.hurry()
  }

  async poll(credit: Credit, signal: AbortSignal): Promise<readonly IncomingRecord[]> {
    const what = `poll of topic "${this.#options.topic}"`
    if (this.#closing !== undefined) throw new StreamError('closed', `${what} failed: the source is closed`)
    if (signal.aborted) throw StreamError.aborted(signal, what)
    const polling = this.#poll(credit, signal, what)
    this.#polling = polling.catch(() => undefined)
    return polling
  }

  async #poll(credit: Credit, signal: AbortSignal, what: string): Promise<readonly IncomingRecord[]> {
    const { clock } = this.#options
    const endMs = clock.monotonic() + pollMs
    this.#heed(signal)
    try {
      for (;;) {
        if (signal.aborted) throw StreamError.aborted(signal, what)
        const woken = Promise.withResolvers<void>()
        this.#woken = woken
        const active = this.#active()
        const records = this.#take(active, credit)
        if (this.#closing === undefined) for (const [, { reading }] of active) reading.want()
        this.#tellEnds(active)
        if (records.length > 0 || clock.monotonic() >= endMs || this.#closing !== undefined) return records
        this.#timer ??= clock.after(endMs - clock.monotonic(), () => {
          this.#timer = undefined
          this.wake()
        })
        await woken.promise
      }
    } finally {
      this.#woken = undefined
    }
  }

  /** An abort of that signal ends a poll. The polls of a consumer share one. */
  #heed(signal: AbortSignal | undefined): void {
    if (signal === this.#heeded) return
    this.#heeded?.removeEventListener('abort', this.#onAbort)
    signal?.addEventListener('abort', this.#onAbort)
    this.#heeded = signal
  }

  /** Hands out what is here, beginning with another partition each time. */
  #take(active: Active, credit: Credit): readonly IncomingRecord[] {
    const records: IncomingRecord[] = []
    const turn = this.#turn++
    let { bytes } = credit
    for (let i = 0; i < active.length && records.length < credit.records && bytes > 0; i++) {
      bytes -= active[(i + turn) % active.length]?.[1].reading.take(records, credit.records, bytes) ?? 0
    }
    return records
  }

  #tellEnds(active: Active): void {
    for (const [partition, { reading }] of active) {
      if (!reading.finished || this.#ended.has(partition)) continue
      this.#ended.add(partition)
      this.#options.events.ended(partition, this.#options.childrenOf(partition))
      this.#membership?.drained(partition)
    }
  }

  #active(): Active {
    return [...this.#held].filter(([partition]) => !this.#paused.has(partition))
  }

  /** See `LogSource.caughtUp`. Between a partition and its children nothing is. */
  caughtUp(): boolean {
    for (const [partition, { reading }] of this.#held) {
      if (reading.caughtUp !== true) return false
      if (reading.finished && !this.#ended.has(partition)) return false
    }
    return this.#held.size > 0
  }

  async commit(commits: readonly Commit[], signal: AbortSignal): Promise<readonly CommitOutcome[]> {
    if (signal.aborted) throw StreamError.aborted(signal, `commit on topic "${this.#options.topic}"`)
    if (this.#membership === undefined || this.#closing !== undefined) {
      throw new StreamError('closed', `the source of topic "${this.#options.topic}" is closed`)
    }
    return this.#membership.commit(commits)
  }

  pause(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#paused.add(partition)
  }

  resume(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#paused.delete(partition)
    this.wake()
  }

  rewind(partition: PartitionId, at: Position): void {
    const from = this.#options.startAt(partition, at)
    const held = this.#held.get(partition)
    if (held === undefined) return
    this.#drop(partition)
    this.#held.set(partition, { epoch: held.epoch, reading: this.#options.read(partition, held.epoch, from) })
    this.wake()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.wake()
    await this.#polling
    this.#timer?.cancel()
    this.#heed(undefined)
    await this.#membership?.close()
    for (const partition of this.#held.keys()) this.#drop(partition)
    await Promise.all(this.#leaving)
    this.#options.onClosed()
  }

  /** Gives a reading up, if there is one. */
  #drop(partition: PartitionId): void {
    const held = this.#held.get(partition)
    if (held === undefined) return
    this.#held.delete(partition)
    this.#ended.delete(partition)
    const leaving = held.reading.close()
    this.#leaving.add(leaving)
    void leaving.finally(() => this.#leaving.delete(leaving))
  }
}
