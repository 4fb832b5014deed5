/** How long this process stood still, from when it is made until `stop`. */
export class Stalls {
  readonly #stalls: { readonly fromMs: number; readonly toMs: number }[] = []
  readonly #everyMs: number
  readonly #timer: NodeJS.Timeout
  #lastMs: number = performance.now()

  constructor(everyMs: number = 10) {
    this.#everyMs = everyMs
    this.#timer = setInterval(() => this.#note(), everyMs)
  }

  /** The longest stall between two times of `performance.now()`, in milliseconds; of all, when none are given. */
  longest(fromMs: number = -Infinity, toMs: number = Infinity): number {
    // A stall that nobody has waited for since.
    this.#note()
    return this.#stalls
      .filter((stall) => stall.toMs > fromMs && stall.fromMs < toMs)
      .reduce((longest, stall) => Math.max(longest, stall.toMs - stall.fromMs), 0)
  }

  stop(): void {
    this.#note()
    clearInterval(this.#timer)
  }

  #note(): void {
    const nowMs = performance.now()
    if (nowMs - this.#lastMs > 2 * this.#everyMs) this.#stalls.push({ fromMs: this.#lastMs, toMs: nowMs })
    this.#lastMs = nowMs
  }
}
