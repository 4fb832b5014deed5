import type { PartitionId, Position } from '@sluice/driver'
import type { CloseOptions } from './cloud.ts'
import type { Message, SettledAs } from './message.ts'

/** How a group member reads, and what it does with failures. */
export interface ConsumerOptions<T> {
  /** The consumer group. Each group gets every message; its members share them. */
  readonly group: string
  /** Names the member; unique in the group. Default: host, process and a random part. */
  readonly member?: string
  /** Where partitions without progress start. Default `earliest`. */
  readonly start?: Start
  /** Messages read ahead or in hands, at most. Default 1 000. */
  readonly maxBufferedRecords?: number
  /** Bytes read ahead or in hands, at most (one message may pass it). Default 32 MiB. */
  readonly maxBufferedBytes?: number
  /**
   * How far reading may run ahead of the commit in one partition, in records: what a crash could repeat at most. Looked
   * at after each read, which may pass it by less than `maxBufferedRecords`. Default 1 000 000.
   */
  readonly maxUncommitted?: number
  /**
   * Progress is committed this often at most, in milliseconds; always on revoke and close. What was settled since comes again after a
   * crash; each commit is a write for each partition. Default 1 000, and 50 where outputs are stored with it, which wait for it.
   */
  readonly commitIntervalMs?: number
  /** Retries of a failing message before it is dead-lettered. */
  readonly retry?: ConsumerRetry
  /** Where messages go that cannot be handled. Default: the topic `<name>.dead-letters`. `false`: the message is retried for ever. */
  readonly deadLetter?: DeadLetterOptions | false
  /** What happens to bytes that cannot be decoded or do not fit the schema. Default `dead-letter`. `stop`: the consumer ends with `corrupt`. */
  readonly onPoison?: 'dead-letter' | 'skip' | 'stop'
  /** Time for running handlers to finish when a partition is handed over, in milliseconds. Default 10 000. */
  readonly revokeTimeoutMs?: number
  /**
   * Called with each message's outcome; for metrics and tests. What it throws is logged. A message that never reached a handler
   * (expired, poison) has no `value`: reading it throws. Of what is given back before its turn it is not called.
   */
  readonly onSettled?: (message: Message<T>, outcome: SettledAs) => void
}

/** How often and how fast a failing message is tried again; its key waits meanwhile, other keys flow. */
export interface ConsumerRetry {
  /** Attempts in all, the first one included. Default 5. */
  readonly maxAttempts?: number
  /** Ceiling of the first wait, in milliseconds. Default 100. Waits double, with full jitter. */
  readonly baseMs?: number
  /** Ceiling of any wait, in milliseconds. Default 30 000. */
  readonly maxMs?: number
}

/** Where dead letters go. */
export interface DeadLetterOptions {
  /** The topic's name. Made when the consumer starts if the connection may make topics. */
  readonly topic: string
}

/**
 * Where to start or to move to. A `Date` means the first message not older than it, and one still to come the end as it is now; a
 * map names the first message wanted in each partition. In partitions it leaves out a reader or a new group starts at the earliest
 * message; a group that is moved stays where it is.
 */
export type Start = 'earliest' | 'latest' | Date | { readonly positions: Readonly<Record<PartitionId, Position>> }

/** Return to acknowledge; throw to have it retried, and dead-lettered in the end. */
export type Handler<T> = (message: Message<T>) => unknown

/** As {@link Handler}, for several. What the handler did not settle itself is acknowledged on return and retried on throw. */
export type BatchHandler<T> = (messages: readonly Message<T>[]) => unknown

/** How `run` works. */
export interface RunOptions {
  /** Handlers at once; never two for one key. Default 16. */
  readonly concurrency?: number
  /** Drains and resolves when it aborts; nothing is begun when it has before. */
  readonly signal?: AbortSignal
}

/** How batches form for a batch handler. */
export interface BatchOptions {
  /** Messages of a batch at most. */
  readonly max: number
  /** How long the first message of a batch waits for company, in milliseconds. Default 0. */
  readonly waitMs?: number
}

/**
 * A member of a consumer group. Use `run` or `for await`, not both. In a loop every message must be settled by one of
 * its verbs; the next message of its key comes only then. Leaving the loop drains and closes the consumer.
 */
export interface Consumer<T> extends AsyncDisposable, AsyncIterable<Message<T>> {
  /** Handles messages until the consumer is closed or fails. Rejects with the error that ended it. */
  run(handler: Handler<T>, options?: RunOptions): Promise<void>
  run(handler: BatchHandler<T>, options: RunOptions & { readonly batch: BatchOptions }): Promise<void>
  /** Starts no new handlers and stops reading. Keeps its partitions. */
  pause(): void
  /** Takes back `pause`. */
  resume(): void
  /**
   * Drains: no new handler starts, running ones finish (until `timeoutMs`), progress is committed, what was read ahead
   * is given back, partitions are handed over. Messages whose handlers did not end in time are given up (`onSettled`:
   * `abandoned`) and come again; then it rejects with `timeout`, their ids in `details.abandoned`. A `run` resolves all
   * the same. Idempotent; may be called inside a handler, where it does not wait. In the body of a `for await` loop settle
   * the message first, or leave by `break`: what is waited for is the body itself.
   */
  close(options?: CloseOptions): Promise<void>
  stats(): ConsumerStats
}

/** Counters of a consumer since it was made, and gauges of now. */
export interface ConsumerStats {
  /** Messages read ahead, waiting or in hands. */
  readonly bufferedRecords: number
  readonly bufferedBytes: number
  /** Handlers running now. */
  readonly running: number
  /** Partitions read now. */
  readonly partitions: readonly PartitionId[]
  readonly received: number
  readonly acked: number
  readonly retried: number
  readonly deadLettered: number
  readonly skipped: number
  readonly expired: number
  /** Times a stuck key's read-ahead was given up so that other keys could flow; it is read again later. */
  readonly parked: number
}
