import { systemClock } from '@sluice/driver'
import type { Clock } from '@sluice/driver'

/** A clock whose time of day jumps when it is told to, as a machine's does when it is set. What it measures with does not. */
export class JumpingClock implements Clock {
  #aheadMs = 0

  now(): number {
    return systemClock.now() + this.#aheadMs
  }

  monotonic(): number {
    return systemClock.monotonic()
  }

  after(ms: number, fire: () => void, background?: boolean): ReturnType<Clock['after']> {
    return systemClock.after(ms, fire, background)
  }

  /** Sets the time of day so far ahead of the real one, or behind it. */
  jumpTo(aheadMs: number): void {
    this.#aheadMs = aheadMs
  }
}
