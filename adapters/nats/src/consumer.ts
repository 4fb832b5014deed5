import { StreamError } from '@sluice/driver'
import type {
  Commit,
  CommitOutcome,
  Credit,
  IncomingRecord,
  LogSource,
  PartitionEvents,
  PartitionId,
  Position,
} from '@sluice/driver'
import { toSequence } from './codec.ts'
import type { Membership, Reader, Tenure } from './membership.ts'
import { Reading } from './reading.ts'
import type { ReadingContext } from './reading.ts'

/** How long a poll waits for records, in milliseconds. */
export const pollMs = 1_000

/** What a log source works with. */
export interface LogSourceContext extends Omit<ReadingContext, 'wake' | 'fail'> {
  readonly events: PartitionEvents
  readonly onClosed: () => void
}

/** Reads a topic's partitions, those the membership gives it. */
export class NatsLogSource implements LogSource, Reader {
  readonly shape = 'log'
  readonly #context: LogSourceContext
  readonly #reading: ReadingContext
  readonly #readings = new Map<PartitionId, Reading>()
  readonly #paused = new Set<PartitionId>()
  readonly #ended = new Set<PartitionId>()
  /** Readings that were given up and still let go of what they hold. */
  readonly #leaving = new Set<Promise<void>>()
  readonly #unlisten: () => void
  #membership: Membership | undefined
  #turn = 0
  #woken: PromiseWithResolvers<void> | undefined
  #polling: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(context: LogSourceContext) {
    this.#context = context
    const fail = (error: StreamError): void => context.events.failed(error)
    this.#reading = { ...context, wake: () => this.#wake(), fail }
    this.#unlisten = context.connection.listen({ reconnected: () => this.#wake(), ended: fail })
  }

  /** Takes part from now on. */
  async start(membership: Membership): Promise<void> {
    this.#membership = membership
    await membership.start()
  }

  assign(partition: PartitionId, epoch: number, from: number): void {
    if (this.#closing !== undefined) return
    this.#drop(partition)
    const reading = new Reading(this.#reading, partition, epoch, from)
    this.#readings.set(partition, reading)
    this.#context.events.assigned(partition, epoch)
    reading.want()
    this.#wake()
  }

  tenuresOf(partitions: readonly PartitionId[]): readonly Tenure[] {
    return partitions.flatMap((partition) => {
      const reading = this.#readings.get(partition)
      return reading === undefined ? [] : [{ partition, epoch: reading.epoch }]
    })
  }

  withdraw(tenures: readonly Tenure[]): boolean {
    const gone = tenures.filter(({ partition, epoch }) => this.#readings.get(partition)?.epoch === epoch)
    for (const { partition } of gone) {
      this.#drop(partition)
      this.#paused.delete(partition)
    }
    this.#wake()
    return gone.length > 0
  }

  topicChanged(): void {
    for (const reading of this.#readings.values()) reading.hurry()
  }

  async poll(credit: Credit, signal: AbortSignal): Promise<readonly IncomingRecord[]> {
    const what = `poll of topic "${this.#context.topic.name}"`
    if (this.#closing !== undefined) throw new StreamError('closed', `${what} failed: the source is closed`)
    if (signal.aborted) throw StreamError.aborted(signal, what)
    const polling = this.#poll(credit, signal, what)
    this.#polling = polling.catch(() => undefined)
    return polling
  }

  async #poll(credit: Credit, signal: AbortSignal, what: string): Promise<readonly IncomingRecord[]> {
    const wake = (): void => this.#wake()
    let late = false
    const timer = this.#context.clock.after(pollMs, () => {
      late = true
      wake()
    })
    signal.addEventListener('abort', wake, { once: true })
    try {
      for (;;) {
        if (signal.aborted) throw StreamError.aborted(signal, what)
        this.#woken = Promise.withResolvers()
        const records = this.#take(credit)
        this.#wantMore()
        this.#tellEnds()
        if (records.length > 0 || late || this.#closing !== undefined) return records
        await this.#woken.promise
      }
    } finally {
      this.#woken = undefined
      timer.cancel()
      signal.removeEventListener('abort', wake)
    }
  }

  /** Hands out what is here, beginning with another partition each time. */
  #take(credit: Credit): readonly IncomingRecord[] {
    const readings = this.#active()
    const records: IncomingRecord[] = []
    const turn = this.#turn++
    let { bytes } = credit
    for (let i = 0; i < readings.length && records.length < credit.records && bytes > 0; i++) {
      bytes -= readings[(i + turn) % readings.length]?.take(records, credit.records, bytes) ?? 0
    }
    return records
  }

  #wantMore(): void {
    if (this.#closing === undefined) for (const reading of this.#active()) reading.want()
  }

  #tellEnds(): void {
    for (const reading of this.#active()) {
      if (!reading.finished || this.#ended.has(reading.partition)) continue
      this.#ended.add(reading.partition)
      this.#context.events.ended(reading.partition, this.#context.topic.childrenOf(reading.partition))
      this.#membership?.drained(reading.partition)
    }
  }

  #active(): readonly Reading[] {
    return [...this.#readings.values()].filter((reading) => !this.#paused.has(reading.partition))
  }

  async commit(commits: readonly Commit[], signal: AbortSignal): Promise<readonly CommitOutcome[]> {
    if (signal.aborted) throw StreamError.aborted(signal, `commit on topic "${this.#context.topic.name}"`)
    if (this.#membership === undefined || this.#closing !== undefined) {
      throw new StreamError('closed', `the source of topic "${this.#context.topic.name}" is closed`)
    }
    return this.#membership.commit(commits)
  }

  pause(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#paused.add(partition)
  }

  resume(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#paused.delete(partition)
    this.#wake()
  }

  rewind(partition: PartitionId, at: Position): void {
    const from = toSequence(at, partition)
    const reading = this.#readings.get(partition)
    if (reading === undefined) return
    this.#drop(partition)
    this.#readings.set(partition, new Reading(this.#reading, partition, reading.epoch, from))
    this.#wake()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#unlisten()
    this.#wake()
    await this.#polling
    await this.#membership?.close()
    for (const partition of this.#readings.keys()) this.#drop(partition)
    await Promise.all(this.#leaving)
    this.#context.onClosed()
  }

  /** Gives a reading up, if there is one. */
  #drop(partition: PartitionId): void {
    const reading = this.#readings.get(partition)
    if (reading === undefined) return
    this.#readings.delete(partition)
    this.#ended.delete(partition)
    const leaving = reading.close()
    this.#leaving.add(leaving)
    void leaving.finally(() => this.#leaving.delete(leaving))
  }

  #wake(): void {
    this.#woken?.resolve()
  }
}
