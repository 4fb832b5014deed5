import type { Clock, Timer } from '@sluice/driver'

/** What happens later: the states of streams that take time to change. Ends with the server. */
export class Later {
  readonly #clock: Clock
  readonly #onFailed: (error: Error) => void
  readonly #timers = new Set<Timer>()

  /** `onFailed` is told what goes wrong later, when whoever asked for it is answered already. */
  constructor(clock: Clock, onFailed: (error: Error) => void) {
    this.#clock = clock
    this.#onFailed = onFailed
  }

  /** Does it after `ms`; at once when that is nothing. */
  after(ms: number, act: () => void): void {
    if (ms <= 0) return act()
    const timer = this.#clock.after(
      ms,
      () => {
        this.#timers.delete(timer)
        try {
          act()
        } catch (error) {
          this.#onFailed(error instanceof Error ? error : new Error(String(error)))
        }
      },
      true,
    )
    this.#timers.add(timer)
  }

  close(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#timers.clear()
  }
}
