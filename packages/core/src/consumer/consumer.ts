import { StreamError, untilAborted } from '@sluice/driver'
import type { DriverTopic } from '@sluice/driver'
import type { CloseOptions } from '../api/cloud.ts'
import type { BatchHandler, BatchOptions, Consumer, ConsumerStats, Handler, RunOptions } from '../api/consumer.ts'
import type { Message } from '../api/message.ts'
import { closeTimeoutMs, runOptions } from '../option-kinds.ts'
import { checkArgument, checkOptions, func } from '../options.ts'
import { joinClose, within } from '../within.ts'
import { BatchMode } from './batch-mode.ts'
import type { ConsumerDeps } from './consumer-deps.ts'
import { checkStartKind, closedMeanwhile, closedWhileStarting, notOpened, notSettled } from './consumer-errors.ts'
import type { Delivery } from './delivery.ts'
import { Dispatcher } from './dispatcher.ts'
import { statsOf } from './consumer-stats.ts'
import { creditOf } from './engine.ts'
import type { Engine, EngineDeps } from './engine.ts'
import { Handling } from './handling.ts'
import { attach, engineFor } from './engine-for.ts'
import { HandlerMode } from './handler-mode.ts'
import { LoopMode } from './loop-mode.ts'
import type { Mode, ModeDeps } from './mode.ts'

/** What a close gives the backend at least, in milliseconds, however short its own deadline is. */
const graceMs = 1_000
/** What storing the last progress, and leaving the group, may take at most. */
const maxFinishMs = 5_000

interface Running {
  readonly engine: Engine
  readonly handling: Handling
  readonly mode: Mode
}

/** A group member: the dispatcher in the middle, an engine towards the backend, a mode towards the user. */
export class TopicConsumer implements Consumer<unknown> {
  readonly #deps: ConsumerDeps
  readonly #dispatcher: Dispatcher
  readonly #stop = new AbortController()
  /** Aborts when a close begins: what has not begun yet does not begin any more. */
  readonly #leaving = new AbortController()
  readonly #ended = Promise.withResolvers<void>()
  #running: Running | undefined
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #error: StreamError | undefined
  #paused = false
  #draining = false
  #pumping = false
  #loop: LoopMode | undefined
  #drained: (() => void) | undefined

  constructor(deps: ConsumerDeps) {
    this.#deps = deps
    this.#dispatcher = new Dispatcher(deps.clock)
    this.#ended.promise.catch(() => undefined)
  }

  run(handler: Handler<unknown>, options?: RunOptions): Promise<void>
  run(handler: BatchHandler<unknown>, options: RunOptions & { readonly batch: BatchOptions }): Promise<void>
  async run(
    handler: Handler<unknown> | BatchHandler<unknown>,
    options: RunOptions & { readonly batch?: BatchOptions } = {},
  ): Promise<void> {
    const of = `running a consumer of topic "${this.#deps.topicName}"`
    checkArgument(of, 'the handler', handler, func)
    checkOptions(of, options, runOptions)
    const { batch, concurrency = 16, signal } = options
    if (signal?.aborted === true) {
      this.#checkUnused()
      return this.#beginClose(undefined)
    }
    const onAbort = (): void => void this.close().catch(() => undefined)
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await this.#startOrEnd((deps) =>
        batch === undefined
          ? new HandlerMode(deps, handler as Handler<unknown>, concurrency)
          : new BatchMode(deps, handler as BatchHandler<unknown>, concurrency, batch),
      )
      await this.#ended.promise
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<Message<unknown>> {
    let started: Promise<void> | undefined
    return {
      next: async () => {
        if (this.#closing !== undefined && this.#loop === undefined) return { done: true, value: undefined }
        started ??= this.#startOrEnd((deps) => (this.#loop = new LoopMode(deps)))
        await started
        return this.#loop === undefined ? { done: true, value: undefined } : this.#loop.next()
      },
      return: async () => {
        await this.#beginClose(undefined)
        return { done: true, value: undefined }
      },
    }
  }

  pause(): void {
    this.#paused = true
    this.#running?.engine.setPaused(true)
  }

  resume(): void {
    this.#paused = false
    this.#running?.engine.setPaused(false)
    this.#running?.mode.resumed()
    this.#pump()
  }

  async close(options?: CloseOptions): Promise<void> {
    const closing = this.closed(options)
    closing.catch(() => undefined)
    // From inside a handler, waiting for the handler to end would be waiting for ourselves.
    if (this.#deps.inside.getStore() !== this) await closing
  }

  /** As {@link close}; but resolves when it is done, and not before, inside a handler too. */
  async closed(options?: CloseOptions): Promise<void> {
    const timeoutMs = closeTimeoutMs(options)
    if (this.#closing === undefined) return this.#beginClose(timeoutMs)
    return joinClose(this.#deps.clock, this.#closing, timeoutMs, `the consumer of topic "${this.#deps.topicName}"`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  stats(): ConsumerStats {
    return statsOf(this.#dispatcher, this.#running)
  }

  #checkUnused(): void {
    if (this.#closing !== undefined)
      throw new StreamError('closed', `the consumer of topic "${this.#deps.topicName}" is closed`)
    const once = 'a consumer runs once: use either one run or one loop, and make another consumer for another'
    if (this.#starting !== undefined) throw new StreamError('invalid-argument', once)
  }

  /** A close while it starts is an end like any other, also of a start that never ends or fails because of it. */
  async #startOrEnd(makeMode: (deps: ModeDeps) => Mode): Promise<void> {
    this.#checkUnused()
    try {
      await Promise.race([this.#start(makeMode), this.#ended.promise])
    } catch (error) {
      if (!this.#draining || this.#error !== undefined) throw error
    }
  }

  #start(makeMode: (deps: ModeDeps) => Mode): Promise<void> {
    this.#starting = this.#open(makeMode).catch((cause: unknown) => {
      const error = notOpened(this.#deps, cause)
      if (!this.#draining) this.#fail(error)
      throw error
    })
    return this.#starting
  }

  async #open(makeMode: (deps: ModeDeps) => Mode): Promise<void> {
    const { capabilities, settings } = this.#deps
    checkStartKind(capabilities, settings)
    const topic = await untilAborted(this.#deps.openTopic(), this.#leaving.signal, closedWhileStarting)
    this.#dispatcher.ordered = topic.order === 'key'
    const begin = (): Promise<void> => this.#subscribe(topic, makeMode)
    await this.#deps.patiently(`subscribe to topic "${topic.name}"`, begin, this.#leaving.signal)
  }

  /** Begins to read. Each try has an engine of its own: what the one before heard of partitions went with it. */
  async #subscribe(topic: DriverTopic, makeMode: (deps: ModeDeps) => Mode): Promise<void> {
    const { capabilities, member, settings, transactional } = this.#deps
    const engine = engineFor(topic, capabilities, this.#engineDeps(), transactional)
    const handling = new Handling({
      ...this.#deps,
      dispatcher: this.#dispatcher,
      engine,
      onChange: this.#pump,
      onFailed: this.#fail,
    })
    const mode = makeMode({
      ...this.#deps,
      handling,
      dispatcher: this.#dispatcher,
      onChange: this.#pump,
      inside: (work) => this.#deps.inside.run(this, work),
      paused: () => this.#paused,
      draining: () => this.#draining,
      drop: (delivery) => this.#dropped(delivery),
    })
    this.#running = { engine, handling, mode }
    const source = await topic.subscribe(
      { group: settings.group, member, start: settings.start, events: engine.events },
      this.#stop.signal,
    )
    try {
      attach(engine, source, topic.name)
    } catch (error) {
      await source.close()
      this.#deps.forgetTopic()
      throw error
    }
    if (this.#paused) engine.setPaused(true)
    if (!this.#draining) engine.start()
    else await source.close()
  }

  #engineDeps(): EngineDeps {
    return {
      ...this.#deps,
      dispatcher: this.#dispatcher,
      onChange: this.#pump,
      onFailed: this.#fail,
      onAbandoned: (delivery) => this.#running?.handling.abandoned(delivery),
      onRefused: (delivery, error) => this.#running?.handling.refused(delivery, error) ?? false,
      dropGathered: (matches) => {
        for (const delivery of this.#running?.mode.dropGathered(matches) ?? []) this.#dropped(delivery)
      },
      running: () => this.#running?.handling.active.values() ?? [],
    }
  }

  /** Hands out what can be handed out, and sees to it that more is read. */
  readonly #pump = (): void => {
    const running = this.#running
    if (running === undefined || this.#pumping) return
    this.#pumping = true
    const { engine, handling, mode } = running
    // Entered once for all handlers that start now: entering it for each would cost more than the rest of the way.
    try {
      if (this.#dispatcher.runnable && mode.free) this.#deps.inside.run(this, this.#handOut, mode)
    } finally {
      this.#pumping = false
    }
    if (this.#draining) {
      if (handling.active.size === 0) this.#drained?.()
      return
    }
    if (this.#paused) return
    if (mode.free && !this.#dispatcher.runnable && creditOf(this.#dispatcher, this.#deps.settings) === undefined)
      engine.starving()
    engine.wake()
  }

  readonly #handOut = (mode: Mode): void => {
    const nowMs = this.#deps.clock.monotonic()
    while (!this.#paused && !this.#draining && mode.free) {
      const delivery = this.#dispatcher.next(nowMs)
      if (delivery === undefined) break
      mode.take(delivery)
    }
  }

  readonly #fail = (error: StreamError): void => {
    if (this.#error !== undefined) return
    this.#error = error
    this.#deps.logger.error(
      { topic: this.#deps.topicName, group: this.#deps.settings.group, code: error.code },
      `the consumer ends: ${error.message}`,
    )
    void this.#beginClose(this.#deps.settings.revokeTimeoutMs)
  }

  /**
   * Closes once. A failure is told to whoever waits, and logged for those who cannot. `undefined`: running handlers are
   * not waited for, which is no failure.
   */
  #beginClose(timeoutMs: number | undefined): Promise<void> {
    if (this.#closing !== undefined) return this.#closing
    const closing = this.#close(timeoutMs)
    this.#closing = closing
    closing.catch((error: unknown) => {
      const fields = { topic: this.#deps.topicName, error }
      this.#deps.logger.error(fields, 'the consumer could not be closed in good order')
    })
    return closing
  }

  async #close(timeoutMs: number | undefined): Promise<void> {
    this.#draining = true
    this.#leaving.abort()
    let givenUp: readonly string[] = []
    try {
      await this.#startEnds(Math.max(timeoutMs ?? 0, graceMs))
      if (this.#running !== undefined) givenUp = await this.#drain(this.#running, timeoutMs ?? 0)
    } finally {
      this.#stop.abort(new StreamError('closed', 'the consumer is closed'))
      this.#deps.onClosed()
      this.#running?.mode.end(this.#error)
      if (this.#error === undefined) this.#ended.resolve()
      else this.#ended.reject(this.#error)
    }
    if (timeoutMs !== undefined && givenUp.length > 0) throw notSettled(this.#deps, givenUp, timeoutMs)
  }

  /** Gives the ids of the messages that were not settled in time. */
  async #drain({ engine, handling }: Running, timeoutMs: number): Promise<readonly string[]> {
    try {
      return await this.#handlersThrough(engine, handling, timeoutMs)
    } finally {
      await engine.finish(Math.min(Math.max(timeoutMs, graceMs), maxFinishMs))
    }
  }

  async #handlersThrough(engine: Engine, handling: Handling, timeoutMs: number): Promise<readonly string[]> {
    await within(this.#deps.clock, engine.stopIntake(), Math.max(timeoutMs, graceMs))
    await this.#handlersEnd(handling, timeoutMs)
    const reason = closedMeanwhile(this.#deps)
    const givenUp = handling.active.values()
    for (const delivery of givenUp) {
      delivery.abort(reason)
      this.#dropped(delivery)
    }
    // What failed meanwhile waits for an attempt that will not come.
    for (const delivery of this.#dispatcher.drop(() => true)) handling.abandoned(delivery)
    return givenUp.map(({ id }) => id)
  }

  /** A start that takes too long is aborted. One that failed has told its caller; closing goes on to free what it opened. */
  async #startEnds(timeoutMs: number): Promise<void> {
    if (this.#starting === undefined) return
    const { clock } = this.#deps
    const started = this.#starting.catch(() => undefined)
    if (await within(clock, started, timeoutMs)) return
    this.#stop.abort(closedWhileStarting())
    await within(clock, started, graceMs)
  }

  #dropped(delivery: Delivery): void {
    delivery.state = 'done'
    this.#dispatcher.release(delivery)
    this.#dispatcher.free(delivery)
    this.#running?.handling.abandoned(delivery)
  }

  async #handlersEnd(handling: Handling, timeoutMs: number): Promise<void> {
    if (handling.active.size === 0 || timeoutMs === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#drained = resolve
    await within(this.#deps.clock, promise, timeoutMs)
  }
}
