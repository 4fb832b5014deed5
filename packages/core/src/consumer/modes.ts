import type { Clock, Logger, Timer } from '@sluice/driver'
import type { BatchOptions } from '../api.ts'
import type { Delivery, Verb } from './delivery.ts'
import type { DispatchLane, Dispatcher } from './dispatcher.ts'
import type { Handling } from './handling.ts'

/** A way to consume: takes deliveries when it is free and has them concluded. */
export interface Mode {
  /** Whether one more delivery can be taken now. */
  readonly free: boolean
  take(delivery: Delivery): void
  /** Gives up deliveries it gathered for later. */
  dropGathered(matches: (delivery: Delivery) => boolean): Delivery[]
  /** Handlers may start again. */
  resumed(): void
  /** Nothing more will come; `error` ended it. */
  end(error: unknown): void
}

/** What the modes share. */
export interface ModeDeps {
  readonly handling: Handling
  readonly dispatcher: Dispatcher
  readonly clock: Clock
  readonly logger: Logger
  readonly onChange: () => void
  readonly paused: () => boolean
  /** Runs what may call handlers, so that a close from within one does not wait for itself. */
  readonly inside: <R>(work: () => R) => R
}

/** The outcome of a handler: its own verb, or what its return or throw means. */
function verbOf(delivery: Delivery, thrown: { readonly error: unknown } | undefined, logger: Logger): Verb {
  if (delivery.verb === undefined) {
    return thrown === undefined ? { kind: 'ack' } : { kind: 'retry', delayMs: undefined, error: thrown.error }
  }
  if (thrown !== undefined) {
    logger.warn(
      { topic: delivery.topic, id: delivery.id, error: thrown.error },
      `a handler threw after it had settled its message (${delivery.verb.kind})`,
    )
  }
  return delivery.verb
}

/** One message at a time to each of `concurrency` handlers. */
export class HandlerMode implements Mode {
  readonly #deps: ModeDeps
  readonly #handler: (delivery: Delivery) => unknown
  readonly #concurrency: number
  #running = 0

  constructor(deps: ModeDeps, handler: (delivery: Delivery) => unknown, concurrency: number) {
    this.#deps = deps
    this.#handler = handler
    this.#concurrency = concurrency
  }

  get free(): boolean {
    return this.#running < this.#concurrency
  }

  take(delivery: Delivery): void {
    const begun = this.#deps.handling.begin(delivery)
    if (begun === true) return this.#handle(delivery)
    if (begun === false) return
    this.#running++
    void begun.then((ready) => {
      this.#running--
      if (ready) this.#deps.inside(() => this.#handle(delivery))
      this.#deps.onChange()
    })
  }

  dropGathered(): Delivery[] {
    return []
  }

  resumed(): void {
    // Nothing was gathered meanwhile.
  }

  end(): void {
    // Handlers in progress finish by themselves.
  }

  #handle(delivery: Delivery): void {
    let result: unknown
    try {
      result = delivery.span === undefined ? this.#handler(delivery) : delivery.span.run(() => this.#handler(delivery))
    } catch (error) {
      return this.#deps.handling.conclude(delivery, verbOf(delivery, { error }, this.#deps.logger))
    }
    if (!isThenable(result))
      return this.#deps.handling.conclude(delivery, verbOf(delivery, undefined, this.#deps.logger))
    this.#running++
    result.then(
      () => this.#handled(delivery, undefined),
      (error: unknown) => this.#handled(delivery, { error }),
    )
  }

  #handled(delivery: Delivery, thrown: { readonly error: unknown } | undefined): void {
    this.#running--
    this.#deps.handling.conclude(delivery, verbOf(delivery, thrown, this.#deps.logger))
    this.#deps.onChange()
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Messages for a `for await` loop: handed out only when asked for, settled by their verbs. */
export class LoopMode implements Mode {
  readonly #deps: ModeDeps
  readonly #waiting: {
    readonly resolve: (result: IteratorResult<Delivery>) => void
    readonly reject: (error: unknown) => void
  }[] = []
  readonly #ready: Delivery[] = []
  #preparing = 0
  #ended: { readonly error: unknown } | undefined

  constructor(deps: ModeDeps) {
    this.#deps = deps
  }

  get free(): boolean {
    return this.#ended === undefined && this.#waiting.length > this.#preparing
  }

  next(): Promise<IteratorResult<Delivery>> {
    return new Promise((resolve, reject) => {
      const ready = this.#ready.shift()
      if (ready !== undefined) return resolve({ done: false, value: ready })
      if (this.#ended !== undefined) return this.#finish({ resolve, reject })
      this.#waiting.push({ resolve, reject })
      this.#deps.onChange()
    })
  }

  take(delivery: Delivery): void {
    const begun = this.#deps.handling.begin(delivery)
    if (begun === true) return this.#hand(delivery)
    if (begun === false) return
    this.#preparing++
    void begun.then((ready) => {
      this.#preparing--
      if (ready) this.#hand(delivery)
      this.#deps.onChange()
    })
  }

  dropGathered(matches: (delivery: Delivery) => boolean): Delivery[] {
    const dropped = this.#ready.filter(matches)
    const kept = this.#ready.filter((delivery) => !dropped.includes(delivery))
    this.#ready.splice(0, this.#ready.length, ...kept)
    return dropped
  }

  resumed(): void {
    // What was handed out before a pause may be taken at any time.
  }

  end(error: unknown): void {
    this.#ended ??= { error }
    for (const waiter of this.#waiting.splice(0)) this.#finish(waiter)
  }

  #finish(waiter: {
    readonly resolve: (result: IteratorResult<Delivery>) => void
    readonly reject: (error: unknown) => void
  }): void {
    const error = this.#ended?.error
    if (error === undefined) return waiter.resolve({ done: true, value: undefined })
    this.#ended = { error: undefined }
    waiter.reject(error)
  }

  #hand(delivery: Delivery): void {
    delivery.onVerb = () => {
      if (delivery.verb !== undefined) this.#deps.handling.conclude(delivery, delivery.verb)
    }
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#ready.push(delivery)
    else waiter.resolve({ done: false, value: delivery })
  }
}

/** Batches for a batch handler. One key's messages may share a batch, in their order. */
export class BatchMode implements Mode {
  readonly #deps: ModeDeps
  readonly #handler: (deliveries: readonly Delivery[]) => unknown
  readonly #concurrency: number
  readonly #options: BatchOptions
  #gathered: Delivery[] = []
  #preparing = 0
  #running = 0
  #timer: Timer | undefined
  #due = false
  /** A batch was due while one of its records was still being decoded, or while the consumer was paused. */
  #overdue = false

  constructor(
    deps: ModeDeps,
    handler: (deliveries: readonly Delivery[]) => unknown,
    concurrency: number,
    options: BatchOptions,
  ) {
    this.#deps = deps
    this.#handler = handler
    this.#concurrency = concurrency
    this.#options = options
  }

  get free(): boolean {
    return this.#running < this.#concurrency && this.#gathered.length + this.#preparing < this.#options.max
  }

  take(delivery: Delivery): void {
    const begun = this.#deps.handling.begin(delivery)
    if (begun === false) return
    if (begun === true) return this.#gather(delivery)
    this.#preparing++
    void begun.then((ready) => {
      this.#preparing--
      if (ready) this.#gather(delivery)
      this.#flushOverdue()
      this.#deps.onChange()
    })
  }

  dropGathered(matches: (delivery: Delivery) => boolean): Delivery[] {
    const dropped = this.#gathered.filter(matches)
    this.#gathered = this.#gathered.filter((delivery) => !dropped.includes(delivery))
    return dropped
  }

  resumed(): void {
    this.#flushOverdue()
  }

  end(): void {
    this.#timer?.cancel()
  }

  #gather(first: Delivery): void {
    this.#gathered.push(first)
    const { lane } = first
    if (lane !== undefined) this.#gatherMore(lane)
    if (this.#gathered.length >= this.#options.max) return this.#flush()
    const { waitMs = 0 } = this.#options
    if (this.#timer !== undefined || this.#due) return
    if (waitMs > 0) {
      this.#timer = this.#deps.clock.after(waitMs, () => this.#deps.inside(() => this.#flush()))
      return
    }
    this.#due = true
    queueMicrotask(() => this.#flush())
  }

  #gatherMore(lane: DispatchLane): void {
    while (this.#gathered.length + this.#preparing < this.#options.max) {
      const following = this.#deps.dispatcher.nextOfSameKey(lane)
      if (following === undefined) return
      const begun = this.#deps.handling.begin(following)
      if (begun === true) {
        this.#gathered.push(following)
        continue
      }
      if (begun === false) return
      this.#preparing++
      void begun.then((ready) => {
        this.#preparing--
        if (ready) this.#gather(following)
        this.#flushOverdue()
        this.#deps.onChange()
      })
      return
    }
  }

  #flushOverdue(): void {
    if (this.#overdue && this.#preparing === 0) this.#deps.inside(() => this.#flush())
  }

  /** Waits for what is being decoded: a later record of a key must not miss the batch of an earlier one. */
  #flush(): void {
    this.#overdue = this.#preparing > 0 || this.#deps.paused()
    if (this.#overdue) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#due = false
    const batch = this.#gathered
    if (batch.length === 0) return
    this.#gathered = []
    this.#running++
    void this.#handle(batch)
  }

  async #handle(batch: readonly Delivery[]): Promise<void> {
    let thrown: { readonly error: unknown } | undefined
    try {
      await this.#handler(batch)
    } catch (error) {
      thrown = { error }
    }
    const lanes = new Map<DispatchLane | Delivery, Delivery[]>()
    for (const delivery of batch) {
      const lane = delivery.lane ?? delivery
      const others = lanes.get(lane)
      if (others === undefined) lanes.set(lane, [delivery])
      else others.push(delivery)
    }
    await Promise.all([...lanes.values()].map((deliveries) => this.#concludeKey(deliveries, thrown)))
    this.#running--
    this.#deps.onChange()
  }

  /** A message to be retried takes with it the later ones of its key that the handler did not settle itself. */
  async #concludeKey(deliveries: readonly Delivery[], thrown: { readonly error: unknown } | undefined): Promise<void> {
    const { dispatcher, handling, logger } = this.#deps
    const verbs = deliveries.map((delivery) => verbOf(delivery, thrown, logger))
    const retried = deliveries.findIndex(
      (delivery, index) => verbs[index]?.kind === 'retry' && !handling.isLastAttempt(delivery),
    )
    const goesBack = (delivery: Delivery, index: number): boolean =>
      retried >= 0 &&
      index > retried &&
      (delivery.verb === undefined || verbs[index]?.kind === 'retry') &&
      !handling.isLastAttempt(delivery) &&
      delivery.lane !== undefined &&
      delivery.origin.owned
    dispatcher.putBack(deliveries.filter(goesBack).map((delivery) => handling.nextAttempt(delivery, thrown?.error)))
    for (const [index, delivery] of deliveries.entries()) {
      if (delivery.state !== 'running') continue
      const applied = await handling.apply(delivery, verbs[index] as Verb)
      if (applied === 'done') dispatcher.free(delivery)
    }
  }
}
