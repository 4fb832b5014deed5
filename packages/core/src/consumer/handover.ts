import type { EngineDeps } from './engine.ts'

/** Waits for running handlers of partitions that are handed over. */
export class Handover {
  readonly #deps: EngineDeps
  #check: (() => void)[] = []

  constructor(deps: EngineDeps) {
    this.#deps = deps
  }

  /** A handler ended. */
  noteSettled(): void {
    for (const check of this.#check) check()
  }

  /** Resolves when nothing of these origins runs any more, or after `timeoutMs`. */
  running(origins: ReadonlySet<unknown>, timeoutMs: number): Promise<void> {
    const { clock, running } = this.#deps
    const busy = (): boolean => running().some((delivery) => origins.has(delivery.origin))
    if (!busy()) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel()
        this.#check = this.#check.filter((other) => other !== check)
        resolve()
      }
      const check = (): void => {
        if (!busy()) done()
      }
      const timer = clock.after(timeoutMs, done)
      this.#check.push(check)
    })
  }
}
