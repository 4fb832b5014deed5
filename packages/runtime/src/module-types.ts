import type { BatchHandler, Message, OutgoingMessage } from '@sluice/core'
import type { Clock, Logger } from '@sluice/driver'

/** What the runtime hands to the code of a source or sink. */
export interface ModuleContext {
  /** The entry's name in `sluice.yaml`. */
  readonly name: string
  /** The entry's `options`, as they were written. */
  readonly options: Readonly<Record<string, unknown>>
  /** The folder of `sluice.yaml`. */
  readonly folder: string
  readonly logger: Logger
  readonly clock: Clock
  /** Aborts when the pipeline drains. A source should end then; what it yielded before is still sent. */
  readonly signal: AbortSignal
}

/**
 * What a module under `sources` exports. Each message it yields is sent; the next one is asked for while earlier ones
 * are on their way, so keys keep their order and requests fill. When it ends, the source is done. Give messages an
 * `id` that follows from the data, and a second run of the same source stores nothing twice where the backend can tell.
 */
export type Source<T = unknown> = (
  context: ModuleContext,
) => AsyncIterable<OutgoingMessage<T>> | Iterable<OutgoingMessage<T>>

/** What a module under `sinks` or `clients` exports when one message at a time is enough. Return to acknowledge, throw to have it again. */
export type SinkHandler<T = unknown> = (message: Message<T>, context: ModuleContext) => unknown

/** An opened sink. */
export interface Sink<T = unknown> {
  /** Resolves once the messages are safe; they are acknowledged then. Messages of one key come in order. */
  readonly write: BatchHandler<T>
  /** Called once nothing will be written any more. */
  close?(): Promise<void>
}

/** What a module under `sinks` or `clients` exports when it holds something open or wants batches. */
export interface SinkDefinition<T = unknown> {
  open(context: ModuleContext): Sink<T> | Promise<Sink<T>>
}

/** Defines a sink; only gives it its types. */
export function defineSink<T = unknown>(definition: SinkDefinition<T>): SinkDefinition<T> {
  return definition
}
