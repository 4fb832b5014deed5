/**
 * A quota of so much a second. What is taken may go below zero, and is paid off before more is granted: that is how a shard
 * takes a record that is larger than a second's worth, and stays silent for five seconds after it gave out 10 MB.
 */
export class TokenBucket {
  readonly #perSecond: number
  readonly #most: number
  readonly #now: () => number
  #level: number
  #atMs: number

  /** `now`: monotonic milliseconds. `most`: what can be saved up; a second's worth when left out. */
  constructor(perSecond: number, now: () => number, most: number = perSecond) {
    this.#perSecond = perSecond
    this.#most = most
    this.#now = now
    this.#level = most
    this.#atMs = now()
  }

  /** Whether `least` could be taken now. */
  has(least = 0): boolean {
    this.#fill()
    return least > 0 ? this.#level >= least : this.#level > 0
  }

  /** More than a second's worth is paid for in full, whatever was saved up. */
  take(amount: number): void {
    this.#fill()
    if (amount > this.#perSecond) this.#level = Math.min(this.#level, 0)
    this.#level -= amount
  }

  /** Whether nothing has been taken for so long that it is as new. */
  get full(): boolean {
    this.#fill()
    return this.#level === this.#most
  }

  /** How long until something can be taken again, in milliseconds. */
  get waitMs(): number {
    this.#fill()
    return this.#level > 0 ? 0 : Math.ceil((-this.#level * 1_000) / this.#perSecond) + 1
  }

  #fill(): void {
    const nowMs = this.#now()
    this.#level = Math.min(this.#most, this.#level + ((nowMs - this.#atMs) * this.#perSecond) / 1_000)
    this.#atMs = nowMs
  }
}
