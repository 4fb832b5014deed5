import type { Lease, Timer } from '@sluice/driver'

/** One stretch of time in which this member holds one partition. */
export class Tenure {
  readonly epoch: number
  /** Whether the hand-over has begun. */
  handingOver = false
  /** Whether a renewal is under way or waits for its turn. */
  renewing = false
  /** Settles when the reader was told of it. */
  announced: Promise<void> = Promise.resolve()
  /** Fires when the tenure may have run out. */
  lapse: Timer | undefined
  #lease: Lease
  #renewedMs: number
  #confirmedMs: number
  #turn: Promise<unknown> = Promise.resolve()

  constructor(lease: Lease, takenMs: number) {
    this.epoch = lease.epoch
    this.#lease = lease
    this.#renewedMs = takenMs
    this.#confirmedMs = takenMs
  }

  /** The lease as it was last known to be stored. */
  get lease(): Lease {
    return this.#lease
  }

  /** Monotonic; no later than the moment the stored version was written. The tenure lapses the failover time after it. */
  get renewedMs(): number {
    return this.#renewedMs
  }

  /** Whether `seen` is still this tenure. */
  owns(seen: Lease | undefined): seen is Lease {
    return seen !== undefined && seen.owner === this.#lease.owner && seen.epoch === this.epoch
  }

  /** Our own write was stored; it was sent at `sentMs`. */
  confirm(stored: Lease, sentMs: number): void {
    this.#lease = stored
    this.#renewedMs = Math.max(this.#renewedMs, sentMs)
    this.#confirmedMs = Math.max(this.#confirmedMs, sentMs)
  }

  /**
   * A list that began at `listedMs` shows this tenure with another version: somebody asked for it, our reader wrote its
   * checkpoint past us, or the answer to our own write was lost. Whichever it was, it was written after we last knew the
   * version to be the old one, and every other member starts to count anew when it sees it. So it renews us as of then.
   */
  adopt(seen: Lease, listedMs: number): void {
    if (seen.version !== this.#lease.version) this.#renewedMs = Math.max(this.#renewedMs, this.#confirmedMs)
    this.#lease = seen
    this.#confirmedMs = Math.max(this.#confirmedMs, listedMs)
  }

  /** Runs `task` after every earlier one has settled: the writes of one lease never overlap. */
  inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(task)
    this.#turn = result.catch((error: unknown) => error)
    return result
  }
}
