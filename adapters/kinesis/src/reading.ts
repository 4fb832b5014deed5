import type { _Record, KinesisClient } from '@aws-sdk/client-kinesis'
import { StreamError } from '@sluice/driver'
import type { Clock, IncomingRecord, Logger, PartitionId, Timer } from '@sluice/driver'
import type { PartitionReading } from '@sluice/lease'
import type { Calls } from './calls.ts'
import type { KinesisConfig } from './config.ts'
import { isInUse, isMissing, isRefused } from './errors.ts'
import type { Place } from './places.ts'
import { ShardBuffer } from './shard-buffer.ts'
import type { TopicView } from './topic.ts'

/** What is read ahead of a shard before more is asked for, in bytes. */
const aheadBytes = 1024 * 1024
const backoff = { firstMs: 100, mostMs: 5_000 }
/** While somebody else's subscription stands in the way, which ends it after five seconds. */
const mostInUseMs = 500

/** What a reading works with. */
export interface ReadingContext {
  readonly client: KinesisClient
  readonly calls: Calls
  readonly config: KinesisConfig
  readonly clock: Clock
  readonly logger: Logger
  readonly topic: TopicView
  /** Something changed: there are records, the end was reached, or a pause is over. */
  readonly wake: () => void
  /** It cannot go on. */
  readonly fail: (error: StreamError) => void
}

/** What came of asking a shard once. */
export interface Fetched {
  readonly records: readonly _Record[]
  /** The shard has ended, and this was the last of it. */
  readonly atEnd: boolean
  /** There was nothing more behind these. */
  readonly nothingMore: boolean
  /** How long to leave the shard alone, in milliseconds. */
  readonly restMs: number
}

/** How a shard is asked for what comes at a place. */
export interface ShardFetcher {
  /** Calls at the same time are not made. Rejects with what the service answered. */
  fetch(place: Place): Promise<Fetched>
  /** The place is not where the last answer ended, or the connection may have changed: begin anew. */
  reset(): void
  /** Ends a call that waits, and lets go of everything. Never rejects. */
  close(): Promise<void>
}

/** One shard being read under one tenure, ahead of what was asked for. Whatever goes wrong, it goes on behind the last record. */
export class ShardReading implements PartitionReading {
  readonly #context: ReadingContext
  readonly #partition: PartitionId
  readonly #fetcher: ShardFetcher
  readonly #buffer: ShardBuffer
  #work: Promise<void> | undefined
  #pause: Timer | undefined
  #failures = 0
  #drained = false
  #closed = false

  constructor(context: ReadingContext, partition: PartitionId, epoch: number, from: Place, fetcher: ShardFetcher) {
    const { topic, config } = context
    this.#context = context
    this.#partition = partition
    this.#fetcher = fetcher
    this.#buffer = new ShardBuffer({ stream: topic.name, partition, epoch, encoding: config.encoding }, from)
  }

  /** The number of records behind which nothing was left when they came; `undefined`: there always was so far. */
  #caughtUpAt: number | undefined

  get caughtUp(): boolean {
    return this.#caughtUpAt !== undefined && this.#buffer.taken >= this.#caughtUpAt
  }

  get finished(): boolean {
    return this.#drained && this.#buffer.empty
  }

  take(target: IncomingRecord[], records: number, bytes: number): number {
    return this.#buffer.take(target, records, bytes)
  }

  want(): void {
    if (this.#closed || this.#drained || this.#work !== undefined || this.#pause !== undefined) return
    if (this.#buffer.bytes > aheadBytes / 2) return
    this.#work = this.#read().finally(() => {
      this.#work = undefined
      if (!this.#closed) this.#context.wake()
    })
  }

  hurry(): void {
    // A shard says itself that it has ended.
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#pause?.cancel()
    await this.#fetcher.close()
    await this.#work
  }

  async #read(): Promise<void> {
    try {
      const { records, atEnd, nothingMore, restMs } = await this.#fetcher.fetch(this.#buffer.place)
      if (this.#closed) return
      this.#buffer.add(records)
      if (atEnd || nothingMore) this.#caughtUpAt ??= this.#buffer.added
      this.#failures = 0
      if (atEnd) this.#drained = true
      else if (restMs > 0) this.#rest(restMs)
    } catch (cause) {
      await this.#onTrouble(StreamError.from(cause, `reading ${this.#partition} failed`))
    }
  }

  async #onTrouble(error: StreamError): Promise<void> {
    if (this.#closed || error.code === 'closed' || error.code === 'aborted') return
    // A read that was refused brought nothing, so its iterator is good; the shard's iterators have a quota too.
    if (error.code !== 'throttled') this.#fetcher.reset()
    // What is refused for a time that is still to come is tried again, and says nothing of the stream.
    if (isMissing(error.cause) || (isRefused(error.cause) && !error.retryable)) return this.#onMissing(error)
    // A stream that is on its way out: in a moment it is gone, and that is what there is to tell.
    if (error.retryable || isInUse(error.cause)) this.#tryAgain(error)
    else this.#fail(error)
  }

  /**
   * The stream is gone, or only the shard: it had ended, and everything in it is older than the stream keeps. Or it was made anew: then its
   * shards are there again, and know nothing of a place in the old ones.
   */
  async #onMissing(error: StreamError): Promise<void> {
    const { topic } = this.#context
    try {
      await topic.refresh()
      if (this.#closed) return
      if (topic.shards.byId(this.#partition) === undefined) this.#endHere()
      else if (isMissing(error.cause)) this.#tryAgain(error)
      else this.#fail(error)
    } catch (cause) {
      if (this.#closed) return
      const why = StreamError.from(cause, `looking topic "${topic.name}" up failed`)
      if (why.code === 'not-found') this.#fail(why)
      else this.#tryAgain(why)
    }
  }

  #endHere(): void {
    this.#drained = true
    this.#caughtUpAt ??= this.#buffer.added
  }

  #tryAgain(error: StreamError): void {
    const { logger, topic } = this.#context
    const mostMs = isInUse(error.cause) ? mostInUseMs : backoff.mostMs
    const waitMs = Math.min(mostMs, backoff.firstMs * 2 ** this.#failures)
    this.#failures += 1
    const facts = { topic: topic.name, partition: this.#partition, code: error.code, error: error.message }
    // How a shard is shared: now and then its quota is used up, or the subscription of before has not ended yet.
    const isShared = error.code === 'throttled' ? this.#failures < 7 : isInUse(error.cause) && this.#failures < 15
    if (isShared) logger.debug(facts, 'a shard is read more slowly')
    else logger.warn(facts, 'reading fails; trying again')
    this.#rest(waitMs)
  }

  #fail(error: StreamError): void {
    this.#closed = true
    this.#context.fail(error)
  }

  #rest(ms: number): void {
    const { clock, wake } = this.#context
    this.#pause = clock.after(ms, () => {
      this.#pause = undefined
      wake()
    })
  }
}
