/** What is assumed before anything was measured, in milliseconds: a round trip on a local network, and a batch by storage. */
const assumed = { roundTripMs: 0.3, batchMs: { file: 5, memory: 0.3 } }
/** What a batch takes for each of its records, in milliseconds. */
const recordMs = 0.012
/** What it takes for each byte: on file storage the server writes it twice. Measured: 4.2 ms for 15 records of 64 KB. */
const byteMs = { file: 4.3e-6, memory: 0 }
/** How fast the estimate of a round trip follows longer ones; a shorter one it takes at once, because waiting in a queue only adds. */
const growth = 1.1
/** What is not tried gets a little cheaper each time, so that it is tried again some day. */
const forgetting = 0.995

/** Records that follow one another. */
export interface Following {
  readonly records: number
  readonly bytes: number
}

/**
 * Weighs the two ways of storing what follows one another. In turn, each record takes a round trip. Together they take one, but the
 * server keeps a batch apart until it is whole, on file storage in files of its own: about 5 ms, of two records or of a hundred.
 * Of answers that are waited for at once (`under way`), each is held to have taken its share of the time: what counts is how many come.
 */
export class Weighing {
  #roundTripMs = assumed.roundTripMs
  readonly #byteMs: number
  /** Of a batch, its records not counted. */
  #batchMs: number

  constructor(storage: 'file' | 'memory') {
    this.#batchMs = assumed.batchMs[storage]
    this.#byteMs = byteMs[storage]
  }

  /** Whether so many that follow one another are sooner stored together. */
  prefersTogether(those: Following): boolean {
    if (those.records < 2) return false
    const together = those.records * this.#roundTripMs > this.#batchMs + this.#contentMs(those)
    if (!together) this.#batchMs *= forgetting
    return together
  }

  /** A record was stored; `underWay` answers were waited for when it was sent, its own among them. */
  tookInTurn(ms: number, underWay: number): void {
    this.#roundTripMs = Math.min(ms / underWay, this.#roundTripMs * growth)
  }

  /** A batch was stored; `underWay` as for {@link tookInTurn}. */
  tookTogether(ms: number, those: Following, underWay: number): void {
    const batchMs = Math.max(0, ms / underWay - this.#contentMs(those))
    this.#batchMs = batchMs < this.#batchMs ? batchMs : (this.#batchMs + batchMs) / 2
  }

  #contentMs({ bytes, records }: Following): number {
    return records * recordMs + bytes * this.#byteMs
  }
}
