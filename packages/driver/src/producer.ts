import type { StreamError } from './errors.ts'
import type { OutgoingRecord, PartitionId, Position } from './record.ts'

/** What became of one record of a request. */
export type SendOutcome =
  | {
      readonly ok: true
      readonly partition?: PartitionId
      readonly position?: Position
      /** The backend already had a record of this id; this is where that one stands. */
      readonly duplicate?: boolean
    }
  | {
      readonly ok: false
      readonly error: StreamError
      /** It was not even tried, because a record that it follows was not stored: that is no failure of its own. */
      readonly untried?: true
    }

/** Sends requests to one topic. Does nothing else: batching, order, retry and limits are core's. */
export interface DriverProducer {
  /**
   * Stores records durably and says of each what became of it, index by index. Never retries. Rejects only when the
   * request failed as a whole, with a StreamError that then holds for every record. Several calls may be in flight.
   * Honours `Capabilities.requestOrder`. After an abort the outcome is `aborted`, `ambiguous` when it was on the wire.
   */
  sendBatch(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly SendOutcome[]>
  /** Idempotent. Requests in flight finish first. */
  close(): Promise<void>
}
