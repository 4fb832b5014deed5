import type { Timer } from '@sluice/driver'
import type { BatchOptions } from '../api/consumer.ts'
import type { Delivery, Verb } from './delivery.ts'
import type { DispatchLane } from './dispatcher.ts'
import { parted, verbOf } from './mode.ts'
import type { Mode, ModeDeps } from './mode.ts'

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
      if (ready) this.#decoded(delivery)
      this.#flushOverdue()
      this.#deps.onChange()
    })
  }

  dropGathered(matches: (delivery: Delivery) => boolean): Delivery[] {
    const [dropped, kept] = parted(this.#gathered, matches)
    this.#gathered = kept
    return dropped
  }

  resumed(): void {
    this.#flushOverdue()
  }

  end(): void {
    this.#timer?.cancel()
  }

  #decoded(delivery: Delivery): void {
    if (this.#deps.draining()) this.#deps.drop(delivery)
    else this.#gather(delivery)
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
        if (ready) this.#decoded(following)
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
    // No handler starts any more: what was gathered is dropped when reading has stopped.
    if (this.#deps.draining()) return
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
  async #concludeKey(all: readonly Delivery[], thrown: { readonly error: unknown } | undefined): Promise<void> {
    // A close may have given them up meanwhile.
    const deliveries = all.filter(({ state }) => state === 'running')
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
