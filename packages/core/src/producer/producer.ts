import { StreamError } from '@sluice/driver'
import type { Capabilities, Clock, DriverTopic, OutgoingRecord, Random } from '@sluice/driver'
import type {
  CloseOptions,
  OutgoingMessage,
  Producer,
  ProducerOptions,
  ProducerStats,
  Receipt,
  SendOptions,
  SendResult,
} from '../api.ts'
import type { IdGenerator } from '../ids.ts'
import type { RateLimiter } from '../rate-limiter.ts'
import type { Telemetry } from '../telemetry.ts'
import type { ValueFormat } from '../values.ts'
import { AbortListeners } from './abort-listeners.ts'
import type { Applicant } from './admission.ts'
import { FlushGroups } from './flush-groups.ts'
import type { FlushGroup } from './flush-groups.ts'
import { openProducer } from './opened.ts'
import type { Opened } from './opened.ts'
import { prepare, sizeOf } from './prepare.ts'
import type { PrepareContext } from './prepare.ts'
import { Send } from './send.ts'
import type { Caller } from './send.ts'
import { producerSettings } from './settings.ts'

/** What a producer works with. */
export interface ProducerDeps<T> {
  readonly topicName: string
  readonly openTopic: () => Promise<DriverTopic>
  readonly capabilities: Capabilities
  readonly format: ValueFormat<T, unknown>
  readonly options: ProducerOptions
  readonly rate: RateLimiter | undefined
  readonly ids: IdGenerator
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry | undefined
  readonly onClosed: () => void
}

/** A send that waits to be let in. */
interface Outstanding {
  readonly id: () => string
  readonly giveUp: (error: StreamError) => void
}

interface Waiting {
  readonly begin: (opened: Opened) => void
  readonly fail: (error: StreamError) => void
}

/** Sends to one topic: door, lanes, requests. Opens the topic with its first send. */
export class TopicProducer<T> implements Producer<T> {
  readonly #deps: ProducerDeps<T>
  readonly #groups = new FlushGroups()
  readonly #aborts = new AbortListeners()
  readonly #atTheDoor = new Set<Outstanding>()
  #opened: Opened | undefined
  #prepareContext: PrepareContext<T> | undefined
  #opening: Promise<void> | undefined
  readonly #beforeOpen = new Set<Waiting>()
  #closing: Promise<void> | undefined
  #sent = 0
  #failed = 0

  constructor(deps: ProducerDeps<T>) {
    this.#deps = deps
    producerSettings(deps.options, {
      maxBatchRecords: 1,
      maxBatchBytes: 1,
      maxRecordBytes: 1,
      maxKeyBytes: 1,
      maxHeaders: 1,
      maxHeaderValueBytes: 1,
    })
  }

  send(message: OutgoingMessage<T>, options: SendOptions = {}): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      if (typeof message !== 'object' || message === null) {
        return reject(new StreamError('invalid-argument', 'send takes a message: { value, key?, headers? }'))
      }
      if (this.#closing !== undefined) {
        return reject(new StreamError('closed', `the producer of topic "${this.#deps.topicName}" is closed`))
      }
      const { signal } = options
      if (signal?.aborted === true) return reject(StreamError.aborted(signal, 'the send'))
      if (this.#opened !== undefined) return this.#begin(this.#opened, message, signal, resolve, reject)
      this.#afterOpening(message, signal, resolve, reject)
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

  async sendAll(messages: readonly OutgoingMessage<T>[], options: SendOptions = {}): Promise<readonly SendResult[]> {
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
    if (this.#opening !== undefined) await this.#opening
    const flushed = this.#groups.flushed()
    this.#opened?.outbox.hurry(flushed)
    await flushed
  }

  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? 30_000)
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

  #afterOpening(
    message: OutgoingMessage<T>,
    signal: AbortSignal | undefined,
    resolve: (receipt: Receipt) => void,
    reject: (error: unknown) => void,
  ): void {
    const waiting: Waiting = {
      begin: (opened) => {
        if (signal !== undefined) this.#aborts.remove(signal, onAbort)
        this.#begin(opened, message, signal, resolve, reject)
      },
      fail: (error) => {
        if (signal !== undefined) this.#aborts.remove(signal, onAbort)
        this.#failed++
        reject(error)
      },
    }
    const onAbort = (): void => {
      this.#beforeOpen.delete(waiting)
      if (signal !== undefined) waiting.fail(StreamError.aborted(signal, 'the send'))
    }
    if (signal !== undefined) this.#aborts.add(signal, onAbort)
    this.#beforeOpen.add(waiting)
    this.#opening ??= this.#open()
  }

  async #open(rethrow = false): Promise<void> {
    try {
      const opened = await openProducer(this.#deps, (entry) => this.#groups.leave(entry.group))
      this.#prepareContext = {
        topic: opened.topic,
        capabilities: this.#deps.capabilities,
        format: this.#deps.format,
        newId: () => this.#deps.ids.next(),
        now: () => this.#deps.clock.now(),
      }
      this.#opened = opened
      for (const waiting of this.#takeWaiting()) waiting.begin(opened)
    } catch (cause) {
      const error = StreamError.from(cause, `topic "${this.#deps.topicName}" could not be opened for sending`)
      for (const waiting of this.#takeWaiting()) waiting.fail(error)
      if (rethrow) throw error
    } finally {
      this.#opening = undefined
    }
  }

  #begin(
    opened: Opened,
    message: OutgoingMessage<T>,
    signal: AbortSignal | undefined,
    resolve: (receipt: Receipt) => void,
    reject: (error: unknown) => void,
  ): void {
    const fence = opened.outbox.fenceOf(message.key)
    const span = this.#deps.telemetry?.startSend(this.#deps.topicName, message)
    const caller: Caller = {
      startedMs: this.#deps.clock.monotonic(),
      signal,
      aborts: this.#aborts,
      span,
      resolve,
      reject,
    }
    if (fence !== undefined) return this.#refuse(caller, fence)
    const context = this.#prepareContext as PrepareContext<T>
    let record: OutgoingRecord | Promise<OutgoingRecord>
    let bytes = 0
    try {
      record = prepare(message, context, span?.headers)
      if (!(record instanceof Promise)) bytes = sizeOf(record, opened.topic)
    } catch (error) {
      return this.#refuse(caller, this.#notPrepared(error))
    }
    if (!(record instanceof Promise)) {
      if (opened.admission.tryEnter(bytes)) return this.#enter(opened, record, bytes, caller, this.#groups.enter())
    }
    this.#apply(opened, record, caller)
  }

  #refuse(caller: Caller, error: StreamError): void {
    this.#failed++
    caller.span?.fail(error)
    caller.reject(error)
  }

  #notPrepared(error: unknown): StreamError {
    return StreamError.from(error, `a message for topic "${this.#deps.topicName}" could not be prepared`)
  }

  /** Waits at the door: for its schema, the rate limit, or room. */
  #apply(opened: Opened, record: OutgoingRecord | Promise<OutgoingRecord>, caller: Caller): void {
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
      hasToken: false,
      cancelWait: undefined,
      left: false,
      admit: (ready, bytes) => {
        this.#atTheDoor.delete(outstanding)
        if (caller.signal !== undefined) this.#aborts.remove(caller.signal, onAbort)
        this.#enter(opened, ready, bytes, caller, group)
      },
    }
    const outstanding: Outstanding = { id: () => applicant.record?.id ?? '(not yet encoded)', giveUp }
    this.#atTheDoor.add(outstanding)
    opened.admission.join(applicant)
    if (!(record instanceof Promise)) return
    record
      .then((ready) => {
        applicant.bytes = sizeOf(ready, opened.topic)
        applicant.record = ready
        opened.admission.serve()
      })
      .catch((error: unknown) => giveUp(this.#notPrepared(error)))
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
      if (!(await this.#flushWithin(timeoutMs))) this.#giveUpRest(timeoutMs)
    } finally {
      this.#opened?.outbox.stop()
      await this.#opened?.closeDriver(timeoutMs)
      this.#deps.onClosed()
    }
  }

  async #flushWithin(timeoutMs: number): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<false>()
    const timer = this.#deps.clock.after(timeoutMs, () => resolve(false))
    const flushed = await Promise.race([this.flush().then(() => true), late])
    timer.cancel()
    return flushed
  }

  #takeWaiting(): readonly Waiting[] {
    const waiting = [...this.#beforeOpen]
    this.#beforeOpen.clear()
    return waiting
  }

  #giveUpRest(timeoutMs: number): never {
    const inside = this.#opened?.outbox.waiting() ?? []
    const outside = [...this.#atTheDoor]
    const unsent = [...inside.map((entry) => entry.record.id), ...outside.map((one) => one.id())]
    const error = new StreamError(
      'timeout',
      `topic "${this.#deps.topicName}": ${unsent.length + this.#beforeOpen.size} records were not confirmed within the ${timeoutMs} ms that close was given; their ids are in details.unsent`,
      { ambiguous: false, details: { topic: this.#deps.topicName, unsent } },
    )
    for (const one of [...inside, ...outside]) one.giveUp(error)
    for (const waiting of this.#takeWaiting()) waiting.fail(error)
    throw error
  }
}
