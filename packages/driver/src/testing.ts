import type { Clock, Timer } from './ports.ts'

interface Pending {
  readonly at: number
  readonly sequence: number
  readonly fire: () => void
}

/** A clock that moves only when told to. Wall clock and monotonic clock move together unless `jump` is used. */
export class ManualClock implements Clock {
  #monotonic = 0
  #wall: number
  #sequence = 0
  readonly #pending = new Set<Pending>()

  constructor(wallMs: number = Date.UTC(2026, 0, 1)) {
    this.#wall = wallMs
  }

  now(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(ms: number, fire: () => void): Timer {
    const entry: Pending = { at: this.#monotonic + Math.max(0, ms), sequence: this.#sequence++, fire }
    this.#pending.add(entry)
    return { cancel: () => void this.#pending.delete(entry) }
  }

  /** Timers that have not fired. */
  get pending(): number {
    return this.#pending.size
  }

  /** Moves the wall clock alone, as an operator or NTP does. */
  jump(ms: number): void {
    this.#wall += ms
  }

  /** Moves time on, firing each timer at its own moment and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms
    await settle()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#moveTo(next.at)
      this.#pending.delete(next)
      next.fire()
      await settle()
    }
    this.#moveTo(end)
    await settle()
  }

  #next(end: number): Pending | undefined {
    let first: Pending | undefined
    for (const entry of this.#pending) {
      if (entry.at > end) continue
      if (first === undefined || entry.at < first.at || (entry.at === first.at && entry.sequence < first.sequence)) {
        first = entry
      }
    }
    return first
  }

  #moveTo(monotonic: number): void {
    this.#wall += monotonic - this.#monotonic
    this.#monotonic = monotonic
  }
}

/** Lets every promise that is ready settle. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Resolves once `check` returns without throwing; rejects with its last error at the deadline. For real-time tests. */
export async function eventually<T>(check: () => T | Promise<T>, deadlineMs = 10_000): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}
