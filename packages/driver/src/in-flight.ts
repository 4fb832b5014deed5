import { StreamError } from './errors.ts'
import { RenewedSet } from './renewed-map.ts'

/** The requests of one producer that are under way. */
export class InFlight {
  readonly #requests = new RenewedSet<Promise<unknown>>()
  #closed = false

  /** Sends a request. Rejects with `closed` or `aborted`, and sends nothing, where that is so already; `what` is for the message. */
  async run<T>(what: string, signal: AbortSignal, send: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new StreamError('closed', `${what} failed: the producer is closed`)
    if (signal.aborted) throw StreamError.aborted(signal, what)
    const request = send()
    this.#requests.add(request)
    try {
      return await request
    } finally {
      this.#requests.delete(request)
    }
  }

  /** Takes no more requests, and waits for those under way, however they end. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#requests.values())
  }
}
