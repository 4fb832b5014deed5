import type { Delivery } from './delivery.ts'
import { parted } from './mode.ts'
import type { Mode, ModeDeps } from './mode.ts'

/** Messages for a `for await` loop: handed out only when asked for, settled by their verbs. */
export class LoopMode implements Mode {
  readonly #deps: ModeDeps
  readonly #waiting: {
    readonly resolve: (result: IteratorResult<Delivery>) => void
    readonly reject: (error: unknown) => void
  }[] = []
  #ready: Delivery[] = []
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
      if (ready && this.#deps.draining()) this.#deps.drop(delivery)
      else if (ready) this.#hand(delivery)
      this.#deps.onChange()
    })
  }

  dropGathered(matches: (delivery: Delivery) => boolean): Delivery[] {
    const [dropped, kept] = parted(this.#ready, matches)
    this.#ready = kept
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
    // V8 puts a function literal that is assigned to a property among the old objects, and the delivery stays with it.
    const onVerb = (): void => {
      if (delivery.verb !== undefined) this.#deps.handling.conclude(delivery, delivery.verb)
    }
    delivery.onVerb = onVerb
    const waiter = this.#waiting.shift()
    if (waiter === undefined) this.#ready.push(delivery)
    else waiter.resolve({ done: false, value: delivery })
  }
}
