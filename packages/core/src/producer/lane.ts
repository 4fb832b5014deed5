import type { OutgoingRecord, SendOutcome, StreamError, Timer } from '@sluice/driver'
import { Fifo } from '../fifo.ts'
import type { FlushGroup } from './flush-groups.ts'

/** The outcome of a record that was stored. */
export type Stored = Extract<SendOutcome, { ok: true }>

/** One record on its way, from admission to its outcome. */
export interface Entry {
  readonly record: OutgoingRecord
  readonly bytes: number
  /** Monotonic time of the `send` call. */
  readonly startedMs: number
  readonly group: FlushGroup
  readonly succeed: (stored: Stored) => void
  readonly fail: (error: StreamError) => void
  /** Ends the wait of its caller before there is an outcome. */
  readonly giveUp: (error: StreamError) => void
  /** Set when it joins its lane. */
  lane: Lane | undefined
  attempts: number
  /** Some try of it ended without an answer: it may be stored. */
  ambiguous: boolean
  /** The caller has given up on it; its outcome no longer matters. */
  abandoned: boolean
  inFlight: boolean
}

/**
 * The records of one key, in order. While some are in flight or wait for a retry, the rest of the key waits. The lane
 * of records without order (`ordered` false) has no such rule.
 */
export class Lane {
  readonly key: string | undefined
  readonly ordered: boolean
  readonly pending: Fifo<Entry> = new Fifo<Entry>()
  /** How many of the pending are abandoned and not taken out yet. */
  leaving = 0
  inFlight = 0
  /** How many of it may go into one request: few after one that failed for good, twice as many after each that did not. */
  mostInRun: number = Infinity
  /** Set after a final failure: later sends of the key reject until it is lifted. */
  fence: StreamError | undefined
  /** Runs while the lane waits before a retry. */
  waiting: Timer | undefined
  /** Whether the lane stands in the ready queue. */
  ready = false

  constructor(key: string | undefined, ordered: boolean) {
    this.key = key
    this.ordered = ordered
  }

  /** Pending entries that are still wanted. */
  get queued(): number {
    return this.pending.size - this.leaving
  }

  get sendable(): boolean {
    if (this.queued === 0) return false
    return !this.ordered || (this.inFlight === 0 && this.waiting === undefined)
  }

  get idle(): boolean {
    return this.queued === 0 && this.inFlight === 0 && this.waiting === undefined && this.fence === undefined
  }
}
