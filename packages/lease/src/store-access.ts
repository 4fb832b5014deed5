import { StreamError } from '@sluice/driver'
import type { Clock, ErrorCode, Lease, LeaseStore } from '@sluice/driver'
import { Coalescer } from './coalescer.ts'

/** Every lease of the scope, and when the request for them went out. */
export interface Listing {
  readonly leases: readonly Lease[]
  /** Monotonic, before the store saw the request: what is in `leases` was stored at this moment or later. */
  readonly startedMs: number
}

/** What is no answer of the store: whoever called has ended the call, or the store. */
const ours: ReadonlySet<ErrorCode> = new Set(['aborted', 'closed'])

/** Whether an error does not pass by itself. */
export function isLasting(error: unknown): boolean {
  return StreamError.is(error) && !error.retryable && !ours.has(error.code)
}

/** The store with a time limit on every call, so that a call which hangs costs as much as one that fails. */
export class StoreAccess {
  readonly #store: LeaseStore
  readonly #scope: string
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #onFailed: (error: StreamError) => void
  readonly #lists: Coalescer<Listing>

  /** `onFailed` is told of errors that do not pass by themselves, besides whoever called. */
  constructor(
    store: LeaseStore,
    scope: string,
    clock: Clock,
    timeoutMs: number,
    onFailed: (error: StreamError) => void,
  ) {
    this.#store = store
    this.#scope = scope
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#onFailed = onFailed
    this.#lists = new Coalescer(() => this.#list())
  }

  /** A list that begins after this call; shared with whoever asks at the same time. */
  list(): Promise<Listing> {
    return this.#lists.run()
  }

  create(lease: Lease): Promise<boolean> {
    return this.call(`create the lease of ${lease.partition}`, (signal) => this.#store.create(lease, signal))
  }

  replace(lease: Lease): Promise<Lease | undefined> {
    return this.call(`write the lease of ${lease.partition}`, (signal) => this.#store.replace(lease, signal))
  }

  /** Runs one request; rejects with `timeout` when it does not answer, else with a StreamError of what went wrong. */
  async call<T>(what: string, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const late = Promise.withResolvers<never>()
    const timer = this.#clock.after(this.#timeoutMs, () => {
      const error = new StreamError('timeout', `no answer after ${Math.round(this.#timeoutMs)} ms on trying to ${what}`)
      late.reject(error)
      controller.abort(error)
    })
    try {
      return await Promise.race([request(controller.signal), late.promise])
    } catch (cause) {
      if (StreamError.is(cause)) {
        if (isLasting(cause)) this.#onFailed(cause)
        throw cause
      }
      throw new StreamError('unavailable', `cannot ${what}: ${String(cause)}`, { cause, ambiguous: true })
    } finally {
      timer.cancel()
    }
  }

  async #list(): Promise<Listing> {
    const startedMs = this.#clock.monotonic()
    const leases = await this.call(`list the leases of ${this.#scope}`, (signal) =>
      this.#store.list(this.#scope, signal),
    )
    return { leases, startedMs }
  }
}
