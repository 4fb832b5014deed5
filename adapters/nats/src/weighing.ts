/** What is assumed before anything was measured, in milliseconds: a round trip on a local network, and a batch by storage. */
const assumed = { roundTripMs: 0.3, batchMs: { file: 5, memory: 0.3 } }
/** What a batch takes for each of its records, in milliseconds. */
const recordMs = 0.012
/** How fast the estimate of a round trip follows longer ones; a shorter one it takes at once, because waiting in a queue only adds. */
const growth = 1.1
/** What is not tried gets a little cheaper each time, so that it is tried again some day. */
const forgetting = 0.995

/**
 * Weighs the two ways of storing what follows one another. In turn, each record takes a round trip. Together they take one, but the
 * server keeps a batch apart until it is whole, on file storage in files of its own: about 5 ms, of two records or of a hundred.
 */
export class Weighing {
  #roundTripMs = assumed.roundTripMs
  /** Of a batch, its records not counted. */
  #batchMs: number

  constructor(storage: 'file' | 'memory') {
    this.#batchMs = assumed.batchMs[storage]
  }

  /** Whether so many that follow one another are sooner stored together. */
  prefersTogether(records: number): boolean {
    if (records < 2) return false
    const together = records * (this.#roundTripMs - recordMs) > this.#batchMs
    if (!together) this.#batchMs *= forgetting
    return together
  }

  tookInTurn(ms: number): void {
    this.#roundTripMs = Math.min(ms, this.#roundTripMs * growth)
  }

  tookTogether(ms: number, records: number): void {
    const batchMs = Math.max(0, ms - records * recordMs)
    this.#batchMs = batchMs < this.#batchMs ? batchMs : (this.#batchMs + batchMs) / 2
  }
}
