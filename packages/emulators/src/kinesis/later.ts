import type { Clock, Timer } from '@sluice/driver'

/** What happens later: the states of streams that take time to change. Ends with the server. */
export class Later {
  readonly #clock: Clock
  readonly #timers = new Set<Timer>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Does it after `ms`; at once when that is nothing. */
  after(ms: number, act: () => void): void {
    if (ms <= 0) return act()
    const timer = this.#clock.after(
      ms,
      () => {
        this.#timers.delete(timer)
        act()
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
