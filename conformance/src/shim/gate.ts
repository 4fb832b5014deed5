import { StreamError } from '@sluice/driver'

/** Holds callers until it is opened, or until their own signal aborts. */
export class Gate {
  readonly #waiting = new Set<() => void>()
  #open = false

  /** Resolves when the gate opens; rejects with an ambiguous `aborted` when the signal does first. */
  wait(what: string, signal?: AbortSignal): Promise<void> {
    if (this.#open) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.delete(go)
        reject(
          new StreamError('aborted', `${what} was aborted by its signal`, { ambiguous: true, cause: signal?.reason }),
        )
      }
      const go = (): void => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      if (signal?.aborted === true) return onAbort()
      this.#waiting.add(go)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Lets everybody through, now and later. */
  open(): void {
    this.#open = true
    for (const go of this.#waiting) go()
    this.#waiting.clear()
  }
}
