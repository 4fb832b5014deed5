import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { Msg } from '@nats-io/transport-node'
import type { Clock, IncomingRecord, Logger, PartitionId, StreamError, Timer } from '@sluice/driver'
import type { PartitionReading } from '@sluice/lease'
import type { DeliveryInfo } from './codec.ts'
import type { Connection } from './connection.ts'
import { isConsumerMissing, toStreamError } from './errors.ts'
import { Pull } from './pull.ts'
import type { PullEnd } from './pull.ts'
import { toRecord } from './to-record.ts'
import type { TopicView } from './topic.ts'

/** How long a request waits at the server, in milliseconds. */
const waitMs = 5_000
/** The server forgets a consumer that nobody asked anything of for this long, in milliseconds. */
const forgetMs = 60_000
const maxRecords = 500
const maxBytes = 1024 * 1024
const backoff = { firstMs: 20, maxMs: 2_000 }

/** What a reading works with. */
export interface ReadingContext {
  readonly connection: Connection
  readonly clock: Clock
  readonly logger: Logger
  readonly topic: TopicView
  /** Something changed: there are records, the end was reached, or a pause after trouble is over. */
  readonly wake: () => void
  /** It cannot go on. */
  readonly fail: (error: StreamError) => void
}

/** Ends of a request behind which the consumer may have delivered what came to nobody. */
const endedEarly: ReadonlySet<PullEnd> = new Set(['broken', 'gone', 'crowded', 'cancelled'])

/**
 * One partition being read under one tenure: a consumer of ours that keeps no acknowledgements, asked for more whenever
 * less than half of what may be read ahead is here. Whatever goes wrong, the consumer is made anew behind the last record.
 */
export class Reading implements PartitionReading {
  readonly partition: PartitionId
  readonly epoch: number
  readonly #context: ReadingContext
  readonly #buffer: IncomingRecord[] = []
  #head = 0
  #bufferedBytes = 0
  /** The next sequence wanted. */
  #next: number
  #consumer: string | undefined
  /** The subject of our records, where the consumer brings those of others too. */
  #wanted: string | undefined
  /** Records that the consumer has sent, by its own count. */
  #received = 0
  #hasGap = false
  /** The next record alone is over the bytes that are asked for. */
  #nextIsLarge = false
  #pull: Pull | undefined
  /** The request behind that one: made while records still come, so that the server never waits for the next. */
  #ahead: Pull | undefined
  #work: Promise<void> | undefined
  #pause: Timer | undefined
  #failures = 0
  /** Whether the last request waits for what may come. */
  #stands = false
  /** How often the stream had more than the consumer said. */
  #contradicted = 0
  #drained = false
  #closed = false

  constructor(context: ReadingContext, partition: PartitionId, epoch: number, from: number) {
    this.#context = context
    this.partition = partition
    this.epoch = epoch
    this.#next = Math.max(1, from)
  }

  /** Everything was handed out, and nothing more will come. */
  get finished(): boolean {
    return this.#drained && this.#buffer.length === this.#head
  }

  /** Appends records to `target` until it holds `records` or `bytes` are used up; returns the bytes taken. */
  take(target: IncomingRecord[], records: number, bytes: number): number {
    let taken = 0
    while (target.length < records && taken < bytes) {
      const record = this.#buffer[this.#head]
      if (record === undefined) break
      this.#head += 1
      taken += sizeOf(record)
      target.push(record)
    }
    this.#bufferedBytes -= taken
    if (this.#head === this.#buffer.length || this.#head > maxRecords) {
      this.#buffer.splice(0, this.#head)
      this.#head = 0
    }
    return taken
  }

  /** More will be wanted soon: asks for it unless that is under way, or enough is here. */
  want(): void {
    if (this.#closed || this.#drained || this.#work !== undefined || this.#pause !== undefined) return
    if (this.#buffer.length - this.#head > maxRecords / 2 || this.#bufferedBytes > maxBytes / 2) return
    if (!this.#context.connection.up) return
    this.#work = this.#ask().finally(() => {
      this.#work = undefined
      this.#context.wake()
    })
  }

  /** The partition may have ended: a request that waits for what will not come is taken back. Others end by themselves. */
  hurry(): void {
    if (this.#stands && this.#hasEnded()) void this.#cancel()
  }

  /** Hands out nothing more and lets go of the consumer. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true
    this.#pause?.cancel()
    await this.#cancel()
    await this.#work
    await this.#dropConsumer()
  }

  async #cancel(): Promise<void> {
    await Promise.all([this.#pull?.cancel(), this.#ahead?.cancel()])
  }

  async #ask(): Promise<void> {
    try {
      const end = await this.#request(await this.#makeConsumer())
      await this.#after(end)
    } catch (cause) {
      await this.#onTrouble(toStreamError(cause, { operation: 'read', topic: this.#context.topic.name }))
    }
  }

  async #request(consumer: string): Promise<PullEnd> {
    if (this.#closed) return 'cancelled'
    const pull = this.#ahead ?? this.#pullFrom(consumer, maxRecords - (this.#buffer.length - this.#head))
    this.#ahead = undefined
    this.#pull = pull
    const end = await pull.end
    this.#pull = undefined
    return end
  }

  #pullFrom(name: string, records: number): Pull {
    const { connection, clock, topic } = this.#context
    const large = this.#nextIsLarge
    const ended = this.#hasEnded()
    this.#stands = !ended
    const request = {
      records: large ? 1 : records,
      bytes: large ? undefined : maxBytes,
      waitMs: ended ? 0 : waitMs,
      // It stands while records come one by one: what came while the next was being made would wait for it.
      patient: !ended,
    }
    this.#nextIsLarge = false
    return new Pull(connection, clock, { stream: topic.stream, name }, request, (message, info) =>
      this.#receive(message, info),
    )
  }

  /** Near the end of a request, where there is room for half of another. */
  #pullAhead(): void {
    const [consumer, pull] = [this.#consumer, this.#pull]
    if (this.#ahead !== undefined || consumer === undefined || this.#drained || this.#hasEnded()) return
    if (pull === undefined || pull.left === 0 || this.#bufferedBytes > maxBytes / 2) return
    const fewBytes = pull.bytesLeft < maxBytes / 4
    if (pull.left > maxRecords / 4 && !fewBytes) return
    // What few bytes can still be is little, whatever their number.
    const room = maxRecords - (this.#buffer.length - this.#head) - (fewBytes ? 0 : pull.left)
    if (room >= maxRecords / 2) this.#ahead = this.#pullFrom(consumer, room)
  }

  async #after(end: PullEnd): Promise<void> {
    if (this.#closed) return
    if (end === 'too-large') this.#nextIsLarge = true
    // A cluster may only just have made the consumer.
    else if (end === 'gone' && this.#received === 0 && this.#failures < 3) this.#pauseAfterFailure()
    else if (this.#hasGap || endedEarly.has(end)) await this.#startOver(end)
    else this.#failures = 0
    if (end === 'none-left' && this.#hasEnded()) await this.#confirmEnd()
  }

  /** The consumer may be behind; the stream's leader knows. */
  async #confirmEnd(): Promise<void> {
    const { connection, topic } = this.#context
    const message = await connection.firstMessage(topic.stream, topic.subjectOf(this.partition), this.#next)
    if (message === null) this.#drained = true
    else if (this.#contradicted++ === 0) this.#pauseAfterFailure()
    // What it has delivered came to nobody, and it delivers nothing twice.
    else await this.#startOver('gone')
  }

  async #startOver(why: PullEnd): Promise<void> {
    const { topic, logger } = this.#context
    logger.debug({ topic: topic.name, partition: this.partition, why }, 'a consumer is made anew')
    await this.#dropConsumer()
    if (this.#failures > 0) this.#pauseAfterFailure()
    else this.#failures = 1
  }

  async #onTrouble(error: StreamError): Promise<void> {
    const { topic, logger, fail } = this.#context
    // Why the connection has ended for good, it says itself.
    if (this.#closed || error.code === 'closed') return
    if (!error.retryable) {
      this.#closed = true
      return fail(error)
    }
    logger.warn({ topic: topic.name, partition: this.partition, error: error.message }, 'reading fails; trying again')
    await this.#dropConsumer()
    this.#pauseAfterFailure()
  }

  #pauseAfterFailure(): void {
    const { clock, wake } = this.#context
    const delayMs = Math.min(backoff.maxMs, backoff.firstMs * 2 ** this.#failures)
    this.#failures += 1
    this.#pause = clock.after(delayMs, () => {
      this.#pause = undefined
      wake()
    })
  }

  #receive(message: Msg, info: DeliveryInfo): void {
    if (this.#closed || this.#hasGap) return
    if (info.consumerSequence !== this.#received + 1) {
      this.#hasGap = true
      void this.#cancel()
      return
    }
    this.#received += 1
    this.#next = info.streamSequence + 1
    const { topic, wake } = this.#context
    if (this.#next > (topic.byId(this.partition)?.endSequence ?? Infinity)) {
      this.#drained = true
      void this.#cancel()
    }
    if (this.#wanted !== undefined && message.subject !== this.#wanted) return
    const record = toRecord(message, info, topic, this.partition, this.epoch)
    this.#bufferedBytes += sizeOf(record)
    this.#buffer.push(record)
    this.#pullAhead()
    wake()
  }

  async #makeConsumer(): Promise<string> {
    if (this.#consumer !== undefined) return this.#consumer
    const { connection, topic } = this.#context
    const subject = topic.filterOf(this.partition)
    const filter = connection.filterFor(subject, this.#hasEnded())
    const made = await connection.streams.consumers.add(topic.stream, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#next,
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: nanos(forgetMs),
      ...filter,
    })
    this.#wanted = filter.filter_subject === undefined ? subject : undefined
    this.#received = 0
    this.#contradicted = 0
    this.#hasGap = false
    this.#consumer = made.name
    return made.name
  }

  /** The server would forget it by itself; this is sooner. */
  async #dropConsumer(): Promise<void> {
    const name = this.#consumer
    if (name === undefined) return
    this.#consumer = undefined
    const ahead = this.#ahead
    this.#ahead = undefined
    await ahead?.cancel()
    const { connection, topic, logger } = this.#context
    if (!connection.up) return
    try {
      await connection.streams.consumers.delete(topic.stream, name)
    } catch (error) {
      if (!isConsumerMissing(error))
        logger.debug({ topic: topic.name, error }, 'a consumer is left for the server to forget')
    }
  }

  #hasEnded(): boolean {
    return this.#context.topic.byId(this.partition)?.ended === true
  }
}

/** About what a record takes in memory. */
function sizeOf(record: IncomingRecord): number {
  return record.body.length + 256
}
