import { systemClock } from '@sluice/driver'
import type { Clock, Timer } from '@sluice/driver'

interface Held {
  fire: () => void
  cancelled: boolean
}

/**
 * The machine's clock, whose timers can be held back: what a process sees that is stopped and goes on later. Give it
 * to one member of a group to make a zombie of it.
 */
export class PausableClock implements Clock {
  readonly #held = new Set<Held>()
  #paused = false

  now(): number {
    return systemClock.now()
  }

  monotonic(): number {
    return systemClock.monotonic()
  }

  after(ms: number, fire: () => void, background?: boolean): Timer {
    const held: Held = { fire, cancelled: false }
    const timer = systemClock.after(ms, () => this.#due(held), background)
    return {
      cancel: () => {
        timer.cancel()
        held.cancelled = true
        this.#held.delete(held)
      },
    }
  }

  /** From now on no timer fires. */
  pause(): void {
    this.#paused = true
  }

  /** Fires what came due meanwhile, and goes on. */
  resume(): void {
    this.#paused = false
    const due = [...this.#held]
    this.#held.clear()
    for (const held of due) if (!held.cancelled) held.fire()
  }

  #due(held: Held): void {
    if (this.#paused) this.#held.add(held)
    else held.fire()
  }
}
