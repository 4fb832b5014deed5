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
  SendOutcome,
  TransactionRecord,
} from '@sluice/driver'
import type { PartitionReader, PartitionTenure } from '@sluice/lease'
import { openChecked } from './codec.ts'
import type { Membership, Place } from './membership.ts'
import { toOffset } from './position.ts'
import { Reading } from './reading.ts'
import type { StoreClient } from './store/client.ts'
import type { Cursor, ReadResult } from './store/protocol.ts'
import type { TopicView } from './topic.ts'

/** How long a poll waits for records, in milliseconds. */
export const waitMs = 1000

/** What a read while records are handled brings at most, and what it may add up to (the last batch may pass both). */
const aheadCredit: Credit = { records: 4_000, bytes: 4 * 1024 * 1024 }
/** Less room than this is left until there is more. */
const aheadLeastBytes = 1024 * 1024

/** What a log source works with. */
export interface LogSourceContext {
  readonly client: StoreClient
  readonly topic: TopicView
  readonly group: string | undefined
  readonly events: PartitionEvents
  readonly onClosed: () => void
}

/** Reads a topic's partitions, those the membership gives it. */
export class LocalLogSource implements LogSource, PartitionReader<Place> {
  readonly shape = 'log'
  readonly #context: LogSourceContext
  readonly #readings = new Map<PartitionId, Reading>()
  readonly #paused = new Set<PartitionId>()
  readonly #forgetFailure: () => void
  #membership: Membership | undefined
  #turn = 0
  #waiting: number | undefined
  #changed = false
  #polling: Promise<unknown> = Promise.resolve()
  #ahead: Promise<'something' | 'nothing' | 'changed'> | undefined
  #closing: Promise<void> | undefined

  constructor(context: LogSourceContext) {
    this.#context = context
    this.#forgetFailure = context.client.onFailure((error) => context.events.failed(error))
  }

  /** Takes part from now on. */
  async start(membership: Membership): Promise<void> {
    this.#membership = membership
    await membership.start()
  }

  assign(id: PartitionId, epoch: number, { partition, offset }: Place): void {
    if (this.#closing !== undefined) return
    this.#readings.set(id, new Reading(partition, epoch, offset))
    this.#context.events.assigned(id, epoch)
    this.#wake()
  }

  tenuresOf(partitions: readonly PartitionId[]): readonly PartitionTenure[] {
    return partitions.flatMap((partition) => {
      const reading = this.#readings.get(partition)
      return reading === undefined ? [] : [{ partition, epoch: reading.epoch }]
    })
  }

  withdraw(tenures: readonly PartitionTenure[]): boolean {
    const gone = tenures.filter(({ partition, epoch }) => this.#readings.get(partition)?.epoch === epoch)
    for (const { partition } of gone) {
      this.#readings.delete(partition)
      this.#paused.delete(partition)
    }
    this.#wake()
    return gone.length > 0
  }

  topicChanged(): void {
    // The store itself says where a partition ends.
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
    const onAbort = (): void => this.#wake()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        const records = this.#take(credit)
        if (records.length > 0) this.#readAhead()
        if (records.length > 0 || this.#closing !== undefined) return records
        if (this.#ahead !== undefined) {
          // It left out what was still in hand then, so its finding nothing says nothing.
          await this.#ahead.catch(() => undefined)
          if (signal.aborted) throw StreamError.aborted(signal, what)
          continue
        }
        const found = await this.#fetch(this.#wanted(), credit, waitMs)
        if (signal.aborted) throw StreamError.aborted(signal, what)
        if (found === 'nothing') return []
      }
    } catch (error) {
      if (StreamError.is(error, 'corrupt')) this.#context.events.failed(error)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Has the store read the next records while those just handed out are handled. What fails is asked for again. */
  #readAhead(): void {
    if (this.#ahead !== undefined || this.#closing !== undefined) return
    let room = aheadCredit.bytes
    // What is paused keeps what it has, and takes no room from the others.
    for (const { bytes, partition } of this.#readings.values()) if (!this.#paused.has(partition.name)) room -= bytes
    const wanted = room < aheadLeastBytes ? [] : this.#wanted()
    if (wanted.length === 0) return
    const ahead = this.#fetch(wanted, { records: aheadCredit.records, bytes: room }, 0).finally(() => {
      if (this.#ahead === ahead) this.#ahead = undefined
    })
    ahead.catch(() => undefined)
    this.#ahead = ahead
  }

  /** Hands out what is here, beginning with another partition each time. */
  #take(credit: Credit): readonly IncomingRecord[] {
    const readings = [...this.#readings.values()]
    const records: IncomingRecord[] = []
    const turn = this.#turn++
    let bytes = credit.bytes
    for (let i = 0; i < readings.length && records.length < credit.records && bytes > 0; i++) {
      const reading = readings[(i + turn) % readings.length]
      if (reading === undefined || this.#paused.has(reading.partition.name)) continue
      bytes -= reading.take(records, credit.records, bytes)
    }
    return records
  }

  /** What may be read on, in the order in which it is asked for: those first of which nothing is here, each time another. */
  #wanted(): readonly Reading[] {
    const wanted = [...this.#readings.values()].filter(
      (reading) => reading.goesOn && !this.#paused.has(reading.partition.name),
    )
    const turn = wanted.length === 0 ? 0 : this.#turn % wanted.length
    const inTurn = [...wanted.slice(turn), ...wanted.slice(0, turn)]
    return [...inTurn.filter(({ bytes }) => bytes === 0), ...inTurn.filter(({ bytes }) => bytes > 0)]
  }

  /** Asks the store for more, and waits for it. `changed`: what is wanted has changed meanwhile. */
  async #fetch(
    wanted: readonly Reading[],
    credit: Credit,
    waitAtMostMs: number,
  ): Promise<'something' | 'nothing' | 'changed'> {
    const { client, topic, group } = this.#context
    const asked = wanted.map((reading): { reading: Reading; cursor: Cursor } => ({
      reading,
      cursor: { partition: reading.partition.id, offset: reading.offset },
    }))
    const { records, bytes } = credit
    const request = { cursors: asked.map((each) => each.cursor), records, bytes, waitMs: waitAtMostMs }
    const context = { operation: 'poll', topic: topic.name, ...(group === undefined ? {} : { group }) }
    this.#changed = false
    const { id, result } = client.start('read', request, context)
    this.#waiting = id
    try {
      const found = await result
      this.#receive(asked, found)
      if (found.batches.length + found.ended.length > 0) return 'something'
      return this.#changed ? 'changed' : 'nothing'
    } finally {
      this.#waiting = undefined
    }
  }

  /** Takes in what the store brought, unless the reading has been moved or taken away since it was asked for. */
  #receive(asked: readonly { reading: Reading; cursor: Cursor }[], found: ReadResult): void {
    const current = new Map<number, Reading>()
    for (const { reading, cursor } of asked) {
      const same = this.#readings.get(reading.partition.name) === reading && reading.offset === cursor.offset
      if (same) current.set(cursor.partition, reading)
    }
    for (const batch of found.batches) {
      const reading = current.get(batch.partition)
      if (reading === undefined) continue
      const where = `offset ${batch.base} of partition ${reading.partition.name} of topic "${this.#context.topic.name}"`
      reading.add(batch, openChecked(batch.body, where))
    }
    for (const { partition, children } of found.ended) {
      const reading = current.get(partition)
      // Its end comes behind its last record; it is found again then.
      if (reading === undefined || reading.bytes > 0) continue
      reading.end()
      this.#context.events.ended(reading.partition.name, children)
      this.#membership?.drained(reading.partition.name)
    }
  }

  async commit(commits: readonly Commit[], signal: AbortSignal): Promise<readonly CommitOutcome[]> {
    if (signal.aborted) throw StreamError.aborted(signal, `commit on topic "${this.#context.topic.name}"`)
    return this.#member().commit(commits)
  }

  async transact(
    records: readonly TransactionRecord[],
    commits: readonly Commit[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    if (signal.aborted) throw StreamError.aborted(signal, `transaction on topic "${this.#context.topic.name}"`)
    return this.#member().transact(records, commits, signal)
  }

  pause(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#paused.add(partition)
    this.#wake()
  }

  resume(partitions: readonly PartitionId[]): void {
    for (const partition of partitions) this.#paused.delete(partition)
    this.#wake()
  }

  rewind(partition: PartitionId, at: Position): void {
    const offset = toOffset(at, partition)
    const reading = this.#readings.get(partition)
    if (reading === undefined) return
    this.#readings.set(partition, new Reading(reading.partition, reading.epoch, offset))
    this.#wake()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#forgetFailure()
    this.#wake()
    await this.#polling
    await this.#ahead?.catch(() => undefined)
    await this.#membership?.close()
    this.#readings.clear()
    this.#context.onClosed()
  }

  /** What is wanted has changed: a request that waits is asked anew. */
  #wake(): void {
    this.#changed = true
    if (this.#waiting !== undefined) this.#context.client.cancel(this.#waiting)
  }

  #member(): Membership {
    if (this.#membership === undefined || this.#closing !== undefined) {
      throw new StreamError('closed', `the source of topic "${this.#context.topic.name}" is closed`)
    }
    return this.#membership
  }
}
