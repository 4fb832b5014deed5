import type { Delivery } from './delivery.ts'
import { parted, verbOf } from './mode.ts'
import type { Mode, ModeDeps } from './mode.ts'

/** One message at a time to each of `concurrency` handlers. */
export class HandlerMode implements Mode {
  readonly #deps: ModeDeps
  readonly #handler: (delivery: Delivery) => unknown
  readonly #concurrency: number
  /** Made ready during a pause. */
  #late: Delivery[] = []
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
      if (ready) this.#decoded(delivery)
      this.#deps.onChange()
    })
  }

  dropGathered(matches: (delivery: Delivery) => boolean): Delivery[] {
    const [dropped, kept] = parted(this.#late, matches)
    this.#late = kept
    return dropped
  }

  resumed(): void {
    for (const delivery of this.#late.splice(0)) this.#decoded(delivery)
  }

  end(): void {
    // Handlers in progress finish by themselves.
  }

  #decoded(delivery: Delivery): void {
    if (this.#deps.draining()) this.#deps.drop(delivery)
    else if (this.#deps.paused()) this.#late.push(delivery)
    else this.#deps.inside(() => this.#handle(delivery))
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
