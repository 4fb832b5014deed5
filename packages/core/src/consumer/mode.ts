import type { Clock, Logger } from '@sluice/driver'
import type { Delivery, Verb } from './delivery.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Handling } from './handling.ts'

/** A way to consume: takes deliveries when it is free and has them concluded. */
export interface Mode {
  /** Whether one more delivery can be taken now. */
  readonly free: boolean
  take(delivery: Delivery): void
  /** Gives up deliveries it gathered for later. */
  dropGathered(matches: (delivery: Delivery) => boolean): Delivery[]
  /** Handlers may start again. */
  resumed(): void
  /** Nothing more will come; `error` ended it. */
  end(error: unknown): void
}

/** What the modes share. */
export interface ModeDeps {
  readonly handling: Handling
  readonly dispatcher: Dispatcher
  readonly clock: Clock
  readonly logger: Logger
  readonly onChange: () => void
  readonly paused: () => boolean
  /** Whether no handler may start any more. */
  readonly draining: () => boolean
  /** Gives up a delivery that was made ready and has nobody to go to. */
  readonly drop: (delivery: Delivery) => void
  /** Runs what may call handlers, so that a close from within one does not wait for itself. */
  readonly inside: <R>(work: () => R) => R
}

/** The outcome of a handler: its own verb, or what its return or throw means. */
export function verbOf(delivery: Delivery, thrown: { readonly error: unknown } | undefined, logger: Logger): Verb {
  if (delivery.verb === undefined) {
    return thrown === undefined ? { kind: 'ack' } : { kind: 'retry', delayMs: undefined, error: thrown.error }
  }
  if (thrown !== undefined) {
    logger.warn(
      { topic: delivery.topic, id: delivery.id, error: thrown.error },
      `a handler threw after it had settled its message (${delivery.verb.kind})`,
    )
  }
  return delivery.verb
}

/** What matches, and the rest. */
export function parted(
  deliveries: readonly Delivery[],
  matches: (delivery: Delivery) => boolean,
): readonly [dropped: Delivery[], kept: Delivery[]] {
  const [dropped, kept]: [Delivery[], Delivery[]] = [[], []]
  for (const delivery of deliveries) (matches(delivery) ? dropped : kept).push(delivery)
  return [dropped, kept]
}
