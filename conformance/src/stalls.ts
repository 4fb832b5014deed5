/** How long this process stood still, from when it is made until `stop`. */
export class Stalls {
  readonly #stalls: { readonly fromMs: number; readonly toMs: number }[] = []
  readonly #timer: NodeJS.Timeout

  constructor(everyMs: number = 10) {
    let lastMs = performance.now()
    this.#timer = setInterval(() => {
      const nowMs = performance.now()
      if (nowMs - lastMs > 2 * everyMs) this.#stalls.push({ fromMs: lastMs, toMs: nowMs })
      lastMs = nowMs
    }, everyMs)
  }

  /** The longest stall between two times of `performance.now()`, in milliseconds; of all, when none are given. */
  longest(fromMs: number = -Infinity, toMs: number = Infinity): number {
    return this.#stalls
      .filter((stall) => stall.toMs > fromMs && stall.fromMs < toMs)
      .reduce((longest, stall) => Math.max(longest, stall.toMs - stall.fromMs), 0)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
