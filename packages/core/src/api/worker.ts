import type { CloseOptions } from './cloud.ts'
import type { Consumer, ConsumerOptions, ConsumerStats } from './consumer.ts'

/** Where a function reads and writes. */
export interface WorkerOptions extends Omit<ConsumerOptions<unknown>, 'group' | 'onSettled'> {
  readonly from: string
  /** Default: outputs are refused with `invalid-argument`. */
  readonly to?: string
  /** Default: the function's name. */
  readonly group?: string
  /** Handlers at once; never two for one key. Default 16. */
  readonly concurrency?: number
  /**
   * `exactly-once`: a message's outputs and its offset are stored in one transaction; `unsupported` where the backend
   * has none. `at-least-once`: outputs are durable before the message is acknowledged. Default: the best there is.
   */
  readonly delivery?: 'exactly-once' | 'at-least-once'
}

/** Runs a function between two topics. */
export interface Worker extends AsyncDisposable {
  readonly name: string
  /** Which of the two the worker gives. Known before it runs. */
  readonly delivery: 'exactly-once' | 'at-least-once'
  /** Works until it is closed, its signal aborts, or it fails. */
  run(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** As {@link Consumer.close}. */
  close(options?: CloseOptions): Promise<void>
  /** `produced` counts outputs of messages that were neither dead-lettered nor retried. */
  stats(): ConsumerStats & { readonly produced: number }
}
