import type { Clock, Credit, Logger, PartitionId, Random, StreamError } from '@sluice/driver'
import type { Delivery } from './delivery.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { ConsumerSettings } from './settings.ts'

/** What both engines work with. */
export interface EngineDeps {
  readonly topicName: string
  readonly member: string
  readonly settings: ConsumerSettings
  readonly dispatcher: Dispatcher
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** New deliveries may be handed out, or room may have become free. */
  readonly onChange: () => void
  /** The engine ended for good. */
  readonly onFailed: (error: StreamError) => void
  /** Called with deliveries that left without an outcome: their partition was handed over or lost. */
  readonly onAbandoned: (delivery: Delivery) => void
  /** The outputs of a settled delivery were refused for good: false when no dead letter can take their place. */
  readonly onRefused: (delivery: Delivery, error: StreamError) => boolean
  /** Gives up deliveries that wait for a batch to fill. */
  readonly dropGathered: (matches: (delivery: Delivery) => boolean) => void
  /** Deliveries that are in handlers, or in the hands of a loop, now. */
  readonly running: () => readonly Delivery[]
}

/** Brings deliveries in and takes their ends back to the backend: the watermark engine for logs, the settlement engine for queues. */
export interface Engine {
  /** Begins to read. */
  start(): void
  /** Stops and starts reading, keeping partitions. */
  setPaused(paused: boolean): void
  /** The delivery is acknowledged; its room is freed here, at once or when its progress is stored. */
  settled(delivery: Delivery): void
  /** Takes a delivery that failed: for a delayed retry by the backend, or because it is no longer tried here; false: the caller must hold it itself. */
  giveBack(delivery: Delivery, delayMs: number): boolean
  /** Room was freed: reading may go on. */
  wake(): void
  /** Handlers are free, nothing can be handed out and nothing more can be read: makes room if keys are stuck. */
  starving(): void
  /** Stops reading and gives up what no handler has begun. */
  stopIntake(): Promise<void>
  /** Stores the last progress and leaves the group; gives up each after `timeoutMs`. Called after the last handler ended. */
  finish(timeoutMs: number): Promise<void>
  readonly partitions: readonly PartitionId[]
  readonly parked: number
}

/** What may be read now: what is missing to the bounds, but not in crumbs while there is still work. */
export function creditOf(dispatcher: Dispatcher, settings: ConsumerSettings): Credit | undefined {
  const records = settings.maxBufferedRecords - dispatcher.records
  const bytes = settings.maxBufferedBytes - dispatcher.bytes
  if (records <= 0 || bytes <= 0) return undefined
  if (records * 4 < settings.maxBufferedRecords && dispatcher.runnable) return undefined
  return { records, bytes }
}
