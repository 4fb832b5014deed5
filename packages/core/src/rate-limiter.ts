import type { Clock, Timer } from '@sluice/driver'
import type { RateLimit } from './api/topic.ts'
import { Fifo } from './fifo.ts'

interface Waiter {
  readonly bytes: number
  readonly go: () => void
}

/** A request that starts so much later than it was allowed to is five percent of a second's worth too early, at most. */
const negligibleMs = 50

/**
 * Two token buckets, one for messages and one for bytes, each holding at most one second's worth, so that no second sees
 * more than twice its rate. A message larger than a second of bytes passes when the bucket is full and leaves it in debt.
 * Those who wait have their turn one after the other.
 */
export class RateLimiter {
  readonly #clock: Clock
  readonly #messages: Bucket
  readonly #bytes: Bucket
  readonly #waiting = new Fifo<Waiter>()
  #timer: Timer | undefined
  #serving = false

  constructor(limit: RateLimit, clock: Clock) {
    this.#clock = clock
    this.#messages = new Bucket(limit.messagesPerSecond, clock.monotonic())
    this.#bytes = new Bucket(limit.bytesPerSecond, clock.monotonic())
  }

  /** Takes what a message costs, if that is there and nobody waits for it; or for whose turn it is. */
  tryTake(bytes: number): boolean {
    if (this.#waiting.size > 0 && !this.#serving) return false
    if (this.#waitMs(bytes) > 0) return false
    this.#messages.take(1)
    this.#bytes.take(bytes)
    return true
  }

  /**
   * What was taken is on its way only now. When that took long, because the process stood still, that time adds nothing:
   * else the backend would see at once what was taken before it and after.
   */
  sent(): void {
    const nowMs = this.#clock.monotonic()
    for (const bucket of [this.#messages, this.#bytes]) bucket.leaveOut(nowMs, negligibleMs)
  }

  /** Calls `turn` later, when a message of that size may pass: to take it, and what else is there. Returns how to give up waiting. */
  wait(bytes: number, turn: () => void): () => void {
    const waiter: Waiter = { bytes, go: turn }
    this.#waiting.push(waiter)
    this.#serveLater()
    return () => {
      this.#waiting.remove((item) => item === waiter)
      this.#timer?.cancel()
      this.#timer = undefined
      this.#serveLater()
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
        this.tryTake(bytes)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #waitMs(bytes: number): number {
    const nowMs = this.#clock.monotonic()
    return Math.max(this.#messages.waitMs(1, nowMs), this.#bytes.waitMs(bytes, nowMs))
  }

  #serveLater(): void {
    const first = this.#waiting.peek()
    if (first === undefined || this.#timer !== undefined || this.#serving) return
    this.#timer = this.#clock.after(this.#waitMs(first.bytes), () => {
      this.#timer = undefined
      this.#serve()
    })
  }

  #serve(): void {
    this.#serving = true
    try {
      // Those who wait again have their next turn after the others.
      for (let turns = this.#waiting.size; turns > 0; turns--) {
        const first = this.#waiting.peek()
        if (first === undefined || this.#waitMs(first.bytes) > 0) break
        this.#waiting.shift()
        first.go()
      }
    } finally {
      this.#serving = false
      this.#serveLater()
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

  /** The time since the last refill does not count, if it is longer than that. */
  leaveOut(now: number, longerThanMs: number): void {
    if (now - this.#at > longerThanMs) this.#at = now
  }

  take(amount: number): void {
    if (this.#perSecond !== Infinity) this.#tokens -= amount
  }
}
