import type { Headers, PartitionId, Position, StreamError } from '@sluice/driver'
import type { CloseOptions } from './cloud.ts'

/** A record to send. */
export interface OutgoingMessage<T> {
  readonly value: T
  /** Messages of one key keep their order. Default: none. */
  readonly key?: string | undefined
  /** Lower-case names `[a-z0-9][a-z0-9._-]*`; values without line breaks or outer spaces. */
  readonly headers?: Headers | undefined
  /** Default: a new UUIDv7. Give your own to make a repeated send recognisable. */
  readonly id?: string | undefined
  /** Consumers skip the message after this time. Default: never. */
  readonly expiresAt?: Date | undefined
  /** Where the backend takes it (capability `explicitPartition`), the partition to store it in. */
  readonly partition?: PartitionId | undefined
}

/** Options of one send. */
export interface SendOptions {
  /** Aborts the send in whatever phase it is: waiting for room, queued, or on the wire (then the error is `ambiguous`). */
  readonly signal?: AbortSignal
}

/** Proof of a durable send. */
export interface Receipt {
  readonly id: string
  readonly partition?: PartitionId
  readonly position?: Position
}

/** What became of one message of `sendAll`. */
export type SendResult =
  | { readonly ok: true; readonly receipt: Receipt }
  | { readonly ok: false; readonly error: StreamError }

/** How a producer batches, retries and holds back. */
export interface ProducerOptions {
  /** Sends wait while this many records are buffered or in flight. Default 10 000. */
  readonly maxBufferedRecords?: number
  /** Sends wait while this many bytes are buffered or in flight. Default 64 MiB. */
  readonly maxBufferedBytes?: number
  /** The most records of a request. Default 1 000; the backend's limit is the ceiling. */
  readonly maxBatchRecords?: number
  /** The most bytes of a request. Default 1 MiB, with NATS 8 MiB; the backend's limit is the ceiling. */
  readonly maxBatchBytes?: number
  /** How long a request waits for company, in milliseconds. Default 0: batches form while others are in flight. */
  readonly lingerMs?: number
  /** Requests in flight at once. Records of one key are never in two of them. Default 4. */
  readonly maxInFlight?: number
  /** A request without an answer for this long counts as failed with `timeout`, in milliseconds. Default 30 000. */
  readonly requestTimeoutMs?: number
  readonly retry?: RetryOptions
  /**
   * What happens to later sends of a key after one finally failed. `fence` (default): they reject with `fenced` until
   * `resume(key)`. `continue`: they are sent, and the key's order has a gap.
   */
  readonly onOrderedFailure?: 'fence' | 'continue'
}

/** Exponential back-off with full jitter. Source: AWS Architecture Blog, "Exponential Backoff and Jitter" (2015). */
export interface RetryOptions {
  /** Tries in all, the first one included. Default for sends: unlimited within `maxElapsedMs`. */
  readonly maxAttempts?: number
  /** Ceiling of the first wait, in milliseconds. Default 50. */
  readonly baseMs?: number
  /** Ceiling of any wait, in milliseconds. Default 5 000. */
  readonly maxMs?: number
  /** Time for all tries together, from the `send` on, in milliseconds. Default 120 000. */
  readonly maxElapsedMs?: number
}

/** Sends to one topic. */
export interface Producer<T> extends AsyncDisposable {
  /**
   * Sends the message as it is now: value, headers and all are taken before the call returns, so that they may be changed
   * or reused at once. Resolves when the backend has stored the record durably. Messages of one key are stored in call order. Waits while
   * the buffers are full. Rejects with `too-large` or `invalid-argument` before any I/O, with `fenced` after an earlier
   * failure of the key, else with the backend's last error once retrying ended.
   */
  send(message: OutgoingMessage<T>, options?: SendOptions): Promise<Receipt>
  /** Sends each; outcomes are index-aligned and the call does not reject for single messages. */
  sendAll(messages: readonly OutgoingMessage<T>[], options?: SendOptions): Promise<readonly SendResult[]>
  /** Lifts the fence that a failed send left on its key. Without a key: all fences. */
  resume(key?: string): void
  /** Resolves when everything sent so far was stored or has failed. */
  flush(): Promise<void>
  /**
   * Refuses new sends, flushes, and closes. After `timeoutMs` the rest is rejected with `timeout` and the call itself
   * rejects, naming the unsent ids in `details.unsent`. Idempotent.
   */
  close(options?: CloseOptions): Promise<void>
  /** What is buffered now, and what was done so far. */
  stats(): ProducerStats
}

/** Counters of a producer since it was made, and gauges of now. */
export interface ProducerStats {
  /** Records buffered or in flight. */
  readonly bufferedRecords: number
  /** Bytes buffered or in flight. */
  readonly bufferedBytes: number
  readonly sent: number
  readonly failed: number
  readonly retries: number
  readonly requests: number
}
