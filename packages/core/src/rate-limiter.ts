import type { Clock, Timer } from '@sluice/driver'
import type { RateLimit } from './api.ts'
import { Fifo } from './fifo.ts'

interface Waiter {
  readonly bytes: number
  readonly go: () => void
}

/**
 * Two token buckets, one for messages and one for bytes, each holding at most one second's worth. First come, first
 * served. A message larger than a second of bytes passes when the bucket is full and leaves it in debt.
 */
export class RateLimiter {
  readonly #clock: Clock
  readonly #messages: Bucket
  readonly #bytes: Bucket
  readonly #waiting = new Fifo<Waiter>()
  #timer: Timer | undefined

  constructor(limit: RateLimit, clock: Clock) {
    this.#clock = clock
    this.#messages = new Bucket(limit.messagesPerSecond, clock.monotonic())
    this.#bytes = new Bucket(limit.bytesPerSecond, clock.monotonic())
  }

  /** Takes a token if one is free and nobody waits before. */
  tryTake(bytes: number): boolean {
    return this.#waiting.size === 0 && this.#takeNow(bytes)
  }

  /** Calls `go` when the message may pass; returns how to give up waiting. */
  wait(bytes: number, go: () => void): () => void {
    const waiter: Waiter = { bytes, go }
    this.#waiting.push(waiter)
    this.#serve()
    return () => {
      this.#waiting.remove((item) => item === waiter)
      this.#serve()
    }
  }

  /** Resolves when the message may pass; rejects with the signal's reason when it aborts first. */
  pass(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.tryTake(bytes)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error)
      const onAbort = (): void => {
        giveUp()
        reject(signal.reason as Error)
      }
      const giveUp = this.wait(bytes, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #takeNow(bytes: number): boolean {
    const now = this.#clock.monotonic()
    if (this.#messages.waitMs(1, now) > 0 || this.#bytes.waitMs(bytes, now) > 0) return false
    this.#messages.take(1)
    this.#bytes.take(bytes)
    return true
  }

  #serve(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (let first = this.#waiting.peek(); first !== undefined; first = this.#waiting.peek()) {
      if (!this.#takeNow(first.bytes)) {
        const now = this.#clock.monotonic()
        const waitMs = Math.max(this.#messages.waitMs(1, now), this.#bytes.waitMs(first.bytes, now))
        this.#timer = this.#clock.after(waitMs, () => this.#serve())
        return
      }
      this.#waiting.shift()
      first.go()
    }
  }
}

class Bucket {
  readonly #perSecond: number
  #tokens: number
  #at: number

  constructor(perSecond: number | undefined, now: number) {
    this.#perSecond = perSecond ?? Infinity
    this.#tokens = this.#perSecond
    this.#at = now
  }

  /** Milliseconds until `amount` may pass; refills on the way. */
  waitMs(amount: number, now: number): number {
    if (this.#perSecond === Infinity) return 0
    this.#tokens = Math.min(this.#perSecond, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond)
    this.#at = now
    const missing = Math.min(amount, this.#perSecond) - this.#tokens
    // A hair below zero counts as zero: refilling in floating point must not wait for a rounding error.
    return missing <= 1e-9 * this.#perSecond ? 0 : (missing / this.#perSecond) * 1000
  }

  take(amount: number): void {
    if (this.#perSecond !== Infinity) this.#tokens -= amount
  }
}
