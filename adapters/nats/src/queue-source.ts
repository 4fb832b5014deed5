import type { Msg, Subscription } from '@nats-io/transport-node'
import { RenewedSet, sleep, StreamError } from '@sluice/driver'
import type {
  Clock,
  Credit,
  Logger,
  PartitionEvents,
  QueuedRecord,
  QueueSource,
  Settlement,
  SettleOutcome,
} from '@sluice/driver'
import { parseDelivery } from './codec.ts'
import type { DeliveryInfo } from './codec.ts'
import type { Connection } from './connection.ts'
import type { Durable, Durables } from './durables.ts'
import { isConsumerMissing, isUnanswered, toStreamError } from './errors.ts'
import { Pull } from './pull.ts'
import type { PullEnd, PullRequest } from './pull.ts'
import { toRecord } from './to-record.ts'
import type { TopicView } from './topic.ts'

/** How long a pull waits for records, in milliseconds. */
const pollMs = 1_000
/** What one request asks for, at most. */
const maxRecords = 1_000
/** How soon a consumer that nobody answers for is asked again, in milliseconds, and how often before it is looked at. */
const askAgainMs = 20
const maxUnanswered = 25

/** What a queue source works with. */
export interface QueueSourceContext {
  readonly connection: Connection
  readonly clock: Clock
  readonly logger: Logger
  readonly topic: TopicView
  readonly group: string
  readonly durables: Durables
  readonly durable: Durable
  readonly requestTimeoutMs: number
  readonly events: PartitionEvents
  readonly onClosed: () => void
}

/** Takes records of a topic without order from the durable consumer that its group shares; a token is an ack subject. */
export class NatsQueueSource implements QueueSource {
  readonly shape = 'queue'
  readonly leaseMs: number
  readonly #context: QueueSourceContext
  /** Deliveries in our hands: given back on close. */
  readonly #out = new RenewedSet<string>()
  readonly #presence: Subscription
  readonly #unlisten: () => void
  #durable: Durable
  /** What came and was not handed out yet. */
  #ready: QueuedRecord[] = []
  /** When the leases of what is ready were last sure to be whole. */
  #readySinceMs = 0
  /** It stands while what it brings is handed out, so that the server never waits for the next. */
  #pull: Pull | undefined
  /** Called when something is ready, or with how the request ended. */
  #tell: ((what: PullEnd | 'ready') => void) | undefined
  #pulling: Promise<unknown> = Promise.resolve()
  #closing: Promise<void> | undefined

  constructor(context: QueueSourceContext) {
    this.#context = context
    this.#durable = context.durable
    this.leaseMs = context.durable.leaseMs
    this.#presence = context.durables.announce(context.topic, context.group)
    this.#unlisten = context.connection.listen({ ended: (error) => context.events.failed(error) })
  }

  async pull(credit: Credit, signal: AbortSignal): Promise<readonly QueuedRecord[]> {
    const what = `pull from topic "${this.#context.topic.name}"`
    if (this.#closing !== undefined) throw new StreamError('closed', `${what} failed: the source is closed`)
    if (signal.aborted) throw StreamError.aborted(signal, what)
    const pulling = this.#pullOnce(credit, signal, what)
    this.#pulling = pulling.catch(() => undefined)
    return pulling
  }

  async #pullOnce(credit: Credit, signal: AbortSignal, what: string): Promise<readonly QueuedRecord[]> {
    try {
      const records = await this.#next(credit, signal)
      if (!signal.aborted) return records
      await this.release(records.map((record) => record.token))
      throw StreamError.aborted(signal, what)
    } catch (cause) {
      if (signal.aborted) throw StreamError.aborted(signal, what)
      const error = toStreamError(cause, this.#describe('pull'))
      if (!error.retryable && error.code !== 'aborted') this.#context.events.failed(error)
      throw error
    }
  }

  /** Asks in the way that the last answer calls for, until there are records or the time is over. */
  async #next(credit: Credit, signal: AbortSignal): Promise<readonly QueuedRecord[]> {
    const { clock } = this.#context
    const end = clock.monotonic() + pollMs
    let request = this.#firstRequest(credit, pollMs)
    await this.#giveBackStale()
    for (let unanswered = 0; ;) {
      if (signal.aborted || this.#closing !== undefined) return []
      const what = await this.#readyOrEnd(request, signal)
      const leftMs = Math.ceil(end - clock.monotonic())
      const waitMs = Math.max(1, leftMs)
      const over = what === 'ready' || what === 'full' || what === 'none-left'
      if (this.#ready.length > 0) return this.#ready.splice(0, credit.records)
      if (signal.aborted || this.#closing !== undefined || (over && leftMs <= 0)) return []
      if (over) request = this.#firstRequest(credit, waitMs)
      else if (what === 'too-large') request = { records: 1, bytes: undefined, waitMs }
      else if (what === 'crowded') request = { records: 1, bytes: undefined, waitMs, patient: true }
      else if (what === 'gone' || (await this.#isForgotten())) await this.#rebind(++unanswered, signal)
      else throw new StreamError('unavailable', 'the consumer does not answer; it is asked again')
    }
  }

  /**
   * Up to 2.9 a server that cannot hand out a record that comes again, because the bytes asked for are too few or nobody
   * listens any more, hands out the last one before it instead, acknowledged or not. So bytes are not asked for there, and
   * no request stands for longer than it must.
   */
  #firstRequest(credit: Credit, waitMs: number): PullRequest {
    const { connection } = this.#context
    const records = Math.max(1, Math.min(credit.records, maxRecords))
    if (connection.isAtLeast(2, 10)) {
      return { records, bytes: Math.max(1, Math.floor(credit.bytes)), waitMs, patient: true }
    }
    const fitting = Math.max(1, Math.floor(credit.bytes / connection.largestPayload))
    return { records: Math.min(records, fitting), bytes: undefined, waitMs }
  }

  /** Being asked about a consumer, the server forgets requests that nobody listens to. */
  async #tidy(): Promise<void> {
    const { connection, topic } = this.#context
    if (!connection.isAtLeast(2, 10)) await connection.streams.consumers.info(topic.stream, this.#durable.name)
  }

  /** Resolves when something is ready, or with the end of the request. One that stands already is waited for as it is. */
  async #readyOrEnd(request: PullRequest, signal: AbortSignal): Promise<PullEnd | 'ready'> {
    if (this.#ready.length > 0) return 'ready'
    const { connection } = this.#context
    if (!connection.up) throw connection.absence
    this.#pull ??= this.#ask(request, signal)
    return new Promise((resolve) => (this.#tell = resolve))
  }

  #ask(request: PullRequest, signal: AbortSignal): Pull {
    const { connection, clock, topic } = this.#context
    const consumer = { stream: topic.stream, name: this.#durable.name }
    const tidy = (): Promise<void> => this.#tidy()
    const pull = new Pull(connection, clock, consumer, { ...request, tidy }, (message, info) => {
      if (this.#ready.length === 0) this.#readySinceMs = clock.monotonic()
      this.#ready.push(this.#toQueued(message, info))
      this.#say('ready')
    })
    const cancel = (): void => void pull.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    void pull.end.then(async (how) => {
      signal.removeEventListener('abort', cancel)
      if (how === 'cancelled' || how === 'gone') await this.#giveBackReady()
      this.#pull = undefined
      this.#say(how)
    })
    return pull
  }

  #say(what: PullEnd | 'ready'): void {
    this.#tell?.(what)
    this.#tell = undefined
  }

  /** What nobody took for so long, as during a pause, is or soon will be another member's. */
  async #giveBackStale(): Promise<void> {
    if (this.#context.clock.monotonic() - this.#readySinceMs > this.leaseMs / 2) await this.#giveBackReady()
  }

  async #giveBackReady(): Promise<void> {
    if (this.#ready.length === 0) return
    try {
      await this.release(this.#ready.splice(0).map((record) => record.token))
    } catch {
      // They come again when their leases end.
    }
  }

  /** Up to 2.9 a server does not answer requests for a consumer that was deleted with its stream. */
  async #isForgotten(): Promise<boolean> {
    const { connection, topic } = this.#context
    if (!connection.up || connection.isAtLeast(2, 10)) return false
    try {
      await connection.streams.consumers.info(topic.stream, this.#durable.name)
      return false
    } catch (error) {
      if (!isConsumerMissing(error)) throw error
      return true
    }
  }

  /**
   * Nobody takes requests for the consumer. The group was moved, which gives it another one; or it, or the topic, was deleted;
   * or a cluster has only just made it, or makes another leader for it.
   */
  async #rebind(times: number, signal: AbortSignal): Promise<void> {
    const { durables, topic, group, clock } = this.#context
    if ((await durables.nameOf(topic, group)) !== this.#durable.name || times > maxUnanswered) {
      this.#durable = await durables.bind(topic, group)
    }
    if (times > 1) await sleep(clock, askAgainMs, signal)
  }

  async settle(items: readonly Settlement[], signal: AbortSignal): Promise<readonly SettleOutcome[]> {
    if (signal.aborted) throw StreamError.aborted(signal, `settle on topic "${this.#context.topic.name}"`)
    return Promise.all(items.map((item) => this.#settle(item)))
  }

  /** Waits for the server's word: an acknowledgement that was lost would bring the record again. */
  async #settle(item: Settlement): Promise<SettleOutcome> {
    const { connection, requestTimeoutMs } = this.#context
    if (parseDelivery(item.token) === undefined) {
      const message = `"${item.token}" is not a token this source has given out`
      return { ok: false, error: new StreamError('invalid-argument', message) }
    }
    try {
      if (!connection.up) throw connection.absence
      await connection.client.request(item.token, verbOf(item), { timeout: requestTimeoutMs })
      this.#out.delete(item.token)
      return { ok: true }
    } catch (cause) {
      if (!isUnanswered(cause)) return { ok: false, error: toStreamError(cause, this.#describe('settle')) }
      this.#out.delete(item.token)
      return { ok: false, error: consumerGone(item, cause) }
    }
  }

  async extend(tokens: readonly string[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw StreamError.aborted(signal, `extend on topic "${this.#context.topic.name}"`)
    this.#readySinceMs = this.#context.clock.monotonic()
    this.#tellAll([...tokens, ...this.#ready.map((record) => record.token)], '+WPI')
    await this.#flush('extend')
  }

  async release(tokens: readonly string[]): Promise<void> {
    this.#tellAll(tokens, '-NAK')
    for (const token of tokens) this.#out.delete(token)
    await this.#flush('release')
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { logger, topic, onClosed } = this.#context
    this.#unlisten()
    await this.#pull?.cancel()
    await this.#pulling
    try {
      await this.release(this.#out.values())
    } catch (error) {
      logger.warn(
        { topic: topic.name, error },
        'records could not be given back; they come again when their leases end',
      )
    }
    this.#presence.unsubscribe()
    onClosed()
  }

  #tellAll(tokens: readonly string[], word: string): void {
    for (const token of tokens) if (this.#out.has(token)) this.#context.connection.client.publish(token, word)
  }

  /** Resolves when the server has what was told. */
  async #flush(operation: string): Promise<void> {
    const { connection } = this.#context
    try {
      if (connection.up) await connection.client.flush()
    } catch (cause) {
      throw toStreamError(cause, this.#describe(operation))
    }
  }

  #toQueued(message: Msg, info: DeliveryInfo): QueuedRecord {
    const { topic } = this.#context
    const record = toRecord(message, info, topic, topic.info.partitions[0]?.id ?? '0', 0)
    const token = message.reply ?? ''
    this.#out.add(token)
    return { ...record, token, attempt: info.deliveries }
  }

  #describe(operation: string): { readonly operation: string; readonly topic: string; readonly group: string } {
    return { operation, topic: this.#context.topic.name, group: this.#context.group }
  }
}

function verbOf(item: Settlement): string {
  if (item.verb === 'ack') return '+ACK'
  return item.delayMs > 0 ? `-NAK ${JSON.stringify({ delay: Math.round(item.delayMs * 1_000_000) })}` : '-NAK'
}

function consumerGone(item: Settlement, cause: unknown): StreamError {
  const message = 'the group was moved or forgotten since the record came; it may come again'
  return new StreamError('fenced', message, { cause, details: { token: item.token } })
}
