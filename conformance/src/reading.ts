import type { Consumer, Message, RunOptions } from '@sluice/core'
import type { CaseContext } from './context.ts'
import { that } from './expect.ts'

/** One delivery to a handler, as it was when it came. */
export interface Delivery<T> {
  readonly id: string
  readonly key: string | undefined
  readonly value: T
  readonly headers: Readonly<Record<string, string>>
  readonly partition: string
  readonly position: string | undefined
  readonly attempt: number
  readonly time: Date
  readonly member: string
  /** From `performance.now()`. */
  readonly startedAtMs: number
  endedAtMs: number | undefined
}

/** A consumer that runs, and everything it was given, in order. */
export interface Reading<T> {
  readonly consumer: Consumer<T>
  readonly deliveries: readonly Delivery<T>[]
  /** The values delivered, in order, repeats included. */
  values(): readonly T[]
  /** The ids delivered, in order, repeats included. */
  ids(): readonly string[]
  /** The error that ended `run`; `undefined` while it runs or when it ended well. */
  error(): unknown
  /** Whether `run` has returned. */
  ended(): boolean
  /** Resolves when so many deliveries came; then waits for extras. */
  count(expected: number): Promise<void>
  /** Closes the consumer and waits for `run`. */
  stop(): Promise<void>
}

/** How `read` reads. */
export interface ReadingOptions<T> extends RunOptions {
  /** What the handler does; default: nothing, so that the message is acknowledged. */
  readonly handle?: (message: Message<T>, delivery: Delivery<T>) => unknown
  /** Names this consumer in the deliveries. */
  readonly member?: string
  /** Several readings can write to one list: the order among members. */
  readonly into?: Delivery<T>[]
}

/** Runs a consumer and writes down what it is given. */
export function read<T>(context: CaseContext, consumer: Consumer<T>, options: ReadingOptions<T> = {}): Reading<T> {
  const { handle, member = 'member', into = [], ...run } = options
  // Where a send can leave several copies, those are not what is waited for.
  const { copies = 1 } = context.world.harness
  const state: { error: unknown; ended: boolean } = { error: undefined, ended: false }
  const handler = async (message: Message<T>): Promise<void> => {
    const delivery = toDelivery(message, member)
    into.push(delivery)
    try {
      await handle?.(message, delivery)
    } finally {
      delivery.endedAtMs = performance.now()
    }
  }
  const running = consumer.run(handler, run).then(
    () => (state.ended = true),
    (error: unknown) => {
      state.ended = true
      state.error = error
    },
  )
  return {
    consumer,
    deliveries: into,
    values: () => into.map((delivery) => delivery.value),
    ids: () => into.map((delivery) => delivery.id),
    error: () => state.error,
    ended: () => state.ended,
    count: async (expected) => {
      await context.eventually(() => {
        that(
          state.error === undefined,
          `the consumer ended with ${String(state.error)} after ${into.length} deliveries`,
        )
        const came =
          copies === 1 ? into.length : new Set(into.map((delivery) => `${delivery.id} ${delivery.attempt}`)).size
        that(came >= expected, `${came} of ${expected} deliveries came`)
      })
      await context.settleWindow()
    },
    stop: async () => {
      await consumer.close()
      await running
    },
  }
}

function toDelivery<T>(message: Message<T>, member: string): Delivery<T> {
  return {
    id: message.id,
    key: message.key,
    value: message.value,
    headers: { ...message.headers },
    partition: message.partition,
    position: message.position,
    attempt: message.attempt,
    time: message.time,
    member,
    startedAtMs: performance.now(),
    endedAtMs: undefined,
  }
}

/** The deliveries of one key, in order. */
export function ofKey<T>(deliveries: readonly Delivery<T>[], key: string): readonly Delivery<T>[] {
  return deliveries.filter((delivery) => delivery.key === key)
}
