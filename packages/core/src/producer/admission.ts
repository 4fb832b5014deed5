import type { OutgoingRecord } from '@sluice/driver'
import { Fifo } from '../fifo.ts'

/** A send that waits to be let in. */
export interface Applicant {
  /** `undefined` while its schema is still validating. */
  record: OutgoingRecord | undefined
  bytes: number
  readonly admit: (record: OutgoingRecord, bytes: number) => void
  /** It gave up waiting: it is passed over when its turn comes. */
  left: boolean
}

/**
 * The door of a producer: lets sends in strictly in call order, each once it is encoded and the buffers have room.
 */
export class Admission {
  readonly #maxRecords: number
  readonly #maxBytes: number
  readonly #queue = new Fifo<Applicant>()
  #serving = false
  #shut = false
  #left = 0
  records = 0
  bytes = 0

  constructor(maxRecords: number, maxBytes: number) {
    this.#maxRecords = maxRecords
    this.#maxBytes = maxBytes
  }

  get waiting(): number {
    return this.#queue.size - this.#left
  }

  /** Lets a record in at once, if nobody waits and nothing stands in its way. */
  tryEnter(bytes: number): boolean {
    if (this.#shut || this.waiting > 0 || !this.#hasRoom(bytes)) return false
    this.records++
    this.bytes += bytes
    return true
  }

  join(applicant: Applicant): void {
    this.#queue.push(applicant)
    this.serve()
  }

  /** In constant time, so that one signal can end the wait of thousands. */
  leave(applicant: Applicant): void {
    applicant.left = true
    applicant.record = undefined
    this.#left++
    // Those that wait behind one that cannot enter are not kept either.
    if (this.#left > 1_024 && this.#left * 2 > this.#queue.size) {
      this.#queue.remove(({ left }) => left)
      this.#left = 0
    }
    this.serve()
  }

  /** Gives back the room of a record that is settled. */
  release(bytes: number): void {
    this.records--
    this.bytes -= bytes
    if (this.waiting > 0) this.serve()
  }

  /** Lets nobody in any more. */
  shut(): void {
    this.#shut = true
  }

  serve(): void {
    // A send that is let in and fails at once frees its room again: the loop that runs goes on with the next.
    if (this.#serving || this.#shut) return
    this.#serving = true
    this.#letIn()
    this.#serving = false
  }

  #letIn(): void {
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      if (first.left) {
        this.#queue.shift()
        this.#left--
        continue
      }
      if (first.record === undefined || !this.#hasRoom(first.bytes)) return
      this.#queue.shift()
      this.records++
      this.bytes += first.bytes
      first.admit(first.record, first.bytes)
    }
  }

  #hasRoom(bytes: number): boolean {
    if (this.records === 0) return true
    return this.records < this.#maxRecords && this.bytes + bytes <= this.#maxBytes
  }
}
