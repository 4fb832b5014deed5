import { RenewedSet, StreamError } from '@sluice/driver'
import type { Capabilities, Clock, DriverTopic, Headers, Logger, OutgoingRecord, Random } from '@sluice/driver'
import type { CloseOptions } from '../api/cloud.ts'
import type {
  OutgoingMessage,
  Producer,
  ProducerOptions,
  ProducerStats,
  Receipt,
  SendOptions,
  SendResult,
} from '../api/producer.ts'
import type { IdGenerator } from '../ids.ts'
import { closeTimeoutMs, producerOptions, sendOptions } from '../option-kinds.ts'
import { checkArgument, checkOptions, kind } from '../options.ts'
import type { RateLimiter } from '../rate-limiter.ts'
import type { Telemetry } from '../telemetry.ts'
import type { ValueFormat } from '../values.ts'
import { AbortListeners } from './abort-listeners.ts'
import type { Applicant } from './admission.ts'
import { FlushGroups } from './flush-groups.ts'
import type { FlushGroup } from './flush-groups.ts'
import { openProducer } from './opened.ts'
import type { Opened } from './opened.ts'
import { notConfirmed, notEncoded } from './outstanding.ts'
import type { Outstanding, Waiting } from './outstanding.ts'
import { checkLimits, prepare, sizeOf, withHeaders } from './prepare.ts'
import type { PrepareContext } from './prepare.ts'
import { Send } from './send.ts'
import type { Caller } from './send.ts'
import { joinClose, within } from '../within.ts'

/** What a producer works with. */
export interface ProducerDeps<T> {
  readonly topicName: string
  readonly openTopic: () => Promise<DriverTopic>
  /** Tries again while the backend is away. */
  readonly patiently: <T>(what: string, work: () => Promise<T>) => Promise<T>
  readonly capabilities: Capabilities
  readonly format: ValueFormat<T, unknown>
  readonly options: ProducerOptions
  readonly rate: RateLimiter | undefined
  readonly ids: IdGenerator
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly telemetry: Telemetry | undefined
  readonly onClosed: () => void
}

/** Sends to one topic: door, lanes, requests. Opens the topic with its first send. */
export class TopicProducer<T> implements Producer<T> {
  readonly #deps: ProducerDeps<T>
  readonly #groups = new FlushGroups()
  readonly #aborts = new AbortListeners()
  readonly #atTheDoor = new RenewedSet<Outstanding>()
  #opened: Opened | undefined
  readonly #prepareContext: PrepareContext<T>
  #opening: Promise<void> | undefined
  readonly #beforeOpen = new Set<Waiting>()
  #closing: Promise<void> | undefined
  /** Close waits for nothing more: what opens only now is let go of at once. */
  #ended = false
  readonly #over = Promise.withResolvers<void>()
  #sent = 0
  #failed = 0

  constructor(deps: ProducerDeps<T>) {
    this.#deps = deps
    const { capabilities, clock, format, ids, topicName } = deps
    this.#prepareContext = { topicName, capabilities, format, newId: () => ids.next(), now: () => clock.now() }
    checkOptions(`a producer of topic "${topicName}"`, deps.options, producerOptions)
  }

  send(message: OutgoingMessage<T>, options?: SendOptions): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      if (typeof message !== 'object' || message === null) {
        return reject(new StreamError('invalid-argument', 'send takes a message: { value, key?, headers? }'))
      }
      if (options !== undefined) checkOptions('send', options, sendOptions)
      if (this.#closing !== undefined) return reject(this.#closed())
      const signal = options?.signal
      if (signal?.aborted === true) return reject(StreamError.aborted(signal, 'the send'))
      this.#begin(message, this.#callerOf(message.headers, signal, resolve, reject))
    })
  }

  /** Sends what `prepare` made elsewhere: a function's output, encoded when the function gave it. */
  sendPrepared(record: OutgoingRecord): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      const caller = this.#callerOf(record.headers, undefined, resolve, reject)
      if (this.#closing !== undefined) return this.#refuse(caller, this.#closed())
      this.#proceed(withHeaders(record, caller.span?.headers), caller)
    })
  }

  /** Sends a record that is already encoded (a dead letter), past the checks that are meant for callers. */
  async sendRecord(record: OutgoingRecord, signal: AbortSignal): Promise<Receipt> {
    while (this.#opened === undefined) await (this.#opening ??= this.#open(true))
    const opened = this.#opened
    if (signal.aborted) throw StreamError.aborted(signal, 'the send')
    sizeOf(record, opened.topic)
    return new Promise((resolve, reject) => {
      this.#apply(opened, record, {
        startedMs: this.#deps.clock.monotonic(),
        signal,
        aborts: this.#aborts,
        span: undefined,
        resolve,
        reject,
      })
    })
  }

  async sendAll(messages: readonly OutgoingMessage<T>[], options?: SendOptions): Promise<readonly SendResult[]> {
    checkArgument('sendAll', 'messages', messages, kind('an array', Array.isArray))
    if (options !== undefined) checkOptions('sendAll', options, sendOptions)
    const settled = await Promise.allSettled(messages.map((message) => this.send(message, options)))
    return settled.map((result) =>
      result.status === 'fulfilled'
        ? { ok: true, receipt: result.value }
        : { ok: false, error: StreamError.from(result.reason, `sending to topic "${this.#deps.topicName}" failed`) },
    )
  }

  resume(key?: string): void {
    this.#opened?.outbox.resume(key)
  }

  async flush(): Promise<void> {
    if (this.#opening !== undefined) await Promise.race([this.#opening, this.#over.promise])
    const flushed = this.#groups.flushed()
    this.#opened?.outbox.hurry(flushed)
    await flushed
  }

  async close(options?: CloseOptions): Promise<void> {
    const timeoutMs = closeTimeoutMs(options)
    const { clock, topicName } = this.#deps
    if (this.#closing !== undefined)
      return joinClose(clock, this.#closing, timeoutMs, `the producer of topic "${topicName}"`)
    this.#closing = this.#close(timeoutMs)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  stats(): ProducerStats {
    const opened = this.#opened
    return {
      bufferedRecords: opened?.admission.records ?? 0,
      bufferedBytes: opened?.admission.bytes ?? 0,
      sent: this.#sent,
      failed: this.#failed,
      retries: opened?.outbox.retries ?? 0,
      requests: opened?.outbox.requests ?? 0,
    }
  }

  #closed(): StreamError {
    return new StreamError('closed', `the producer of topic "${this.#deps.topicName}" is closed`)
  }

  #callerOf(
    headers: Headers | undefined,
    signal: AbortSignal | undefined,
    resolve: (receipt: Receipt) => void,
    reject: (error: unknown) => void,
  ): Caller {
    const { clock, telemetry, topicName } = this.#deps
    const span = telemetry?.startSend(topicName, headers)
    return { startedMs: clock.monotonic(), signal, aborts: this.#aborts, span, resolve, reject }
  }

  /** Fixes the message: what its caller changes from here on is not looked at. */
  #begin(message: OutgoingMessage<T>, caller: Caller): void {
    const fence = this.#opened?.outbox.fenceOf(message.key)
    if (fence !== undefined) return this.#refuse(caller, fence)
    let record: OutgoingRecord | Promise<OutgoingRecord>
    try {
      record = prepare(message, this.#prepareContext, caller.span?.headers)
    } catch (error) {
      return this.#refuse(caller, this.#notPrepared(error))
    }
    // Whatever makes text of the value may have closed the producer.
    if (this.#closing === undefined) this.#proceed(record, caller)
    else this.#refuse(caller, this.#closed())
  }

  #proceed(record: OutgoingRecord | Promise<OutgoingRecord>, caller: Caller): void {
    const opened = this.#opened
    if (opened === undefined) return this.#awaitOpening(record, caller)
    if (record instanceof Promise) return this.#apply(opened, record, caller)
    let bytes: number
    try {
      bytes = this.#check(record, caller, opened.topic)
    } catch (error) {
      return this.#refuse(caller, this.#notPrepared(error))
    }
    if (opened.admission.tryEnter(bytes)) this.#enter(opened, record, bytes, caller, this.#groups.enter())
    else this.#apply(opened, record, caller)
  }

  #awaitOpening(record: OutgoingRecord | Promise<OutgoingRecord>, caller: Caller): void {
    const { signal } = caller
    const leave = (): boolean => {
      if (signal !== undefined) this.#aborts.remove(signal, onAbort)
      return this.#beforeOpen.delete(waiting)
    }
    const giveUp = (error: StreamError): void => {
      // The signal, a close, the schema and a failed opening may each end the wait, in any order.
      if (leave()) this.#refuse(caller, error)
    }
    const onAbort = (): void => giveUp(StreamError.aborted(signal as AbortSignal, 'the send'))
    const waiting: Waiting = {
      id: () => (record instanceof Promise ? notEncoded : record.id),
      begin: () => {
        leave()
        this.#proceed(record, caller)
      },
      giveUp,
    }
    if (signal !== undefined) this.#aborts.add(signal, onAbort)
    this.#beforeOpen.add(waiting)
    if (record instanceof Promise) record.catch((error: unknown) => giveUp(this.#notPrepared(error)))
    this.#opening ??= this.#open()
  }

  async #open(rethrow = false): Promise<void> {
    try {
      const opened = await openProducer(this.#deps, (entry) => this.#groups.leave(entry.group))
      if (this.#ended) {
        opened.outbox.stop()
        await opened.closeDriver(0)
        throw this.#closed()
      }
      this.#opened = opened
      for (const waiting of this.#beforeOpen) waiting.begin()
    } catch (cause) {
      const error = StreamError.from(cause, `topic "${this.#deps.topicName}" could not be opened for sending`)
      for (const waiting of this.#beforeOpen) waiting.giveUp(error)
      if (rethrow) throw error
    } finally {
      this.#opening = undefined
    }
  }

  #refuse(caller: Caller, error: StreamError): void {
    this.#failed++
    caller.span?.fail(error)
    caller.reject(error)
  }

  #notPrepared(error: unknown): StreamError {
    return StreamError.from(error, `a message for topic "${this.#deps.topicName}" could not be prepared`)
  }

  /** Waits at the door: for its schema, or for room. */
  #apply(opened: Opened, record: OutgoingRecord | Promise<OutgoingRecord>, caller: Caller): void {
    if (this.#ended) return this.#refuse(caller, this.#closed())
    const group = this.#groups.enter()
    const giveUp = (error: StreamError): void => {
      // The signal, a close and the schema may each end the wait, in any order.
      if (!this.#atTheDoor.delete(outstanding)) return
      opened.admission.leave(applicant)
      this.#groups.leave(group)
      if (caller.signal !== undefined) this.#aborts.remove(caller.signal, onAbort)
      this.#refuse(caller, error)
    }
    const onAbort = (): void => giveUp(StreamError.aborted(caller.signal as AbortSignal, 'the send'))
    if (caller.signal !== undefined) this.#aborts.add(caller.signal, onAbort)
    const applicant: Applicant = {
      record: record instanceof Promise ? undefined : record,
      bytes: record instanceof Promise ? 0 : opened.topic.measure(record),
      left: false,
      admit: (ready, bytes) => {
        this.#atTheDoor.delete(outstanding)
        if (caller.signal !== undefined) this.#aborts.remove(caller.signal, onAbort)
        this.#enter(opened, ready, bytes, caller, group)
      },
    }
    const outstanding: Outstanding = { id: () => applicant.record?.id ?? notEncoded, giveUp }
    this.#atTheDoor.add(outstanding)
    opened.admission.join(applicant)
    if (!(record instanceof Promise)) return
    record
      .then((ready) => {
        applicant.bytes = this.#check(ready, caller, opened.topic)
        applicant.record = ready
        opened.admission.serve()
      })
      .catch((error: unknown) => giveUp(this.#notPrepared(error)))
  }

  /** The size of a record that its topic takes. */
  #check(record: OutgoingRecord, caller: Caller, topic: DriverTopic): number {
    return checkLimits(record, caller.span?.headers, this.#deps.format.codec.contentType, topic)
  }

  #enter(opened: Opened, record: OutgoingRecord, bytes: number, caller: Caller, group: FlushGroup): void {
    const send = new Send(record, bytes, caller, group, opened.outbox, this.#onOutcome)
    opened.outbox.add(send)
  }

  readonly #onOutcome = (ok: boolean): void => {
    if (ok) this.#sent++
    else this.#failed++
  }

  async #close(timeoutMs: number): Promise<void> {
    try {
      if (!(await within(this.#deps.clock, this.flush(), timeoutMs))) this.#giveUpRest(timeoutMs)
    } finally {
      this.#ended = true
      this.#over.resolve()
      this.#giveUpAll(this.#closed())
      this.#opened?.outbox.stop()
      await this.#opened?.closeDriver(timeoutMs)
      this.#deps.onClosed()
    }
  }

  #giveUpRest(timeoutMs: number): never {
    const inside = this.#opened?.outbox.waiting() ?? []
    const outside = [...this.#atTheDoor.values(), ...this.#beforeOpen]
    const unsent = [...inside.map((entry) => entry.record.id), ...outside.map((one) => one.id())]
    const error = notConfirmed(this.#deps.topicName, unsent, timeoutMs)
    this.#giveUpAll(error)
    throw error
  }

  /** Answers every send that waits, wherever it does. Those who go make room, and nobody is let in any more. */
  #giveUpAll(error: StreamError): void {
    this.#opened?.admission.shut()
    const inside = this.#opened?.outbox.waiting() ?? []
    for (const one of [...this.#atTheDoor.values(), ...this.#beforeOpen, ...inside]) one.giveUp(error)
  }
}
