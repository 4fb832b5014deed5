import type { Headers, PartitionId, Position } from '@sluice/driver'

/** A message in the hands of a handler. The first of the four verbs called counts; later calls do nothing. */
export interface Message<T> {
  readonly id: string
  readonly topic: string
  readonly key: string | undefined
  readonly value: T
  readonly headers: Headers
  readonly partition: PartitionId
  /** `undefined` where the backend has none. */
  readonly position: Position | undefined
  /** The backend's time of the message. */
  readonly time: Date
  /** 1 on the first delivery. Counted in this process unless the capability `attempts` is `durable`. */
  readonly attempt: number
  readonly expiresAt: Date | undefined
  /** The stored bytes. */
  readonly body: Uint8Array
  /** Aborts when the message is no longer ours: its partition was lost, or the consumer gave up waiting for the handler. */
  readonly signal: AbortSignal
  /** Done; it will not come again. */
  ack(): void
  /** Not done; it comes again, to this group, after `delayMs` (default: the retry policy's), its key waiting meanwhile. */
  retry(options?: { readonly delayMs?: number }): void
  /** Cannot be done: to the dead-letter topic with this reason, then acknowledged. */
  deadLetter(reason: string): void
  /** Not wanted: acknowledged and counted as skipped. */
  skip(): void
  /** The vendor SDK's own message. */
  native(): unknown
}

/** A message seen by `topic.read`: nothing to settle. */
export type ReadMessage<T> = Omit<Message<T>, 'ack' | 'retry' | 'deadLetter' | 'skip' | 'attempt' | 'signal'>

/** How a message ended. */
export type SettledAs = 'acked' | 'retried' | 'dead-lettered' | 'skipped' | 'expired' | 'abandoned'
