import { RenewedMap, RenewedSet } from '@sluice/driver'

/**
 * Listens to a signal once for all that share it. Adding and removing take constant time: a signal's own list is
 * walked for each removal, which makes ending thousands of sends by one signal quadratic.
 */
export class AbortListeners {
  readonly #listeners = new RenewedMap<AbortSignal, RenewedSet<() => void>>()

  /** Calls `listener` once when the signal aborts, also when others do so in answer to the abort under way. */
  add(signal: AbortSignal, listener: () => void): void {
    const known = this.#listeners.get(signal)
    if (known !== undefined) return known.add(listener)
    const listeners = new RenewedSet<() => void>()
    listeners.add(listener)
    this.#listeners.set(signal, listeners)
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  remove(signal: AbortSignal, listener: () => void): void {
    const known = this.#listeners.get(signal)
    if (known?.delete(listener) !== true || known.size > 0 || signal.aborted) return
    this.#listeners.delete(signal)
    signal.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = ({ target }: Event): void => {
    const signal = target as AbortSignal
    const listeners = this.#listeners.get(signal) ?? new RenewedSet()
    // Those that are added meanwhile are visited too, those that are removed are not.
    while (listeners.size > 0) {
      for (const listener of listeners.values()) if (listeners.delete(listener)) listener()
    }
    this.#listeners.delete(signal)
  }
}
