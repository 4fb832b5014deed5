/** What is assumed before anything was measured, in milliseconds: a round trip on a local network, and a batch by storage. */
const assumed = { roundTripMs: 0.3, batchMs: { file: 5, memory: 0.3 } }
/** How fast an estimate follows what takes longer; what was faster it takes at once, because waiting in a queue only adds. */
const growth = 1.1

/**
 * Weighs the two ways of storing what follows one another. In turn, each record takes a round trip. Together they take one, but the
 * server keeps a batch apart until it is whole, on file storage in files of its own: about 5 ms, of two records or of a hundred.
 */
export class Weighing {
  #roundTripMs = assumed.roundTripMs
  #batchMs: number

  constructor(storage: 'file' | 'memory') {
    this.#batchMs = assumed.batchMs[storage]
  }

  /** Whether so many that follow one another are sooner stored together. */
  prefersTogether(records: number): boolean {
    return records * this.#roundTripMs > this.#batchMs
  }

  tookInTurn(ms: number): void {
    this.#roundTripMs = Math.min(ms, this.#roundTripMs * growth)
  }

  tookTogether(ms: number): void {
    this.#batchMs = Math.min(ms, this.#batchMs * growth)
  }
}
