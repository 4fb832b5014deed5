import { StreamError } from '@sluice/driver'
import type {
  DriverProducer,
  DriverTopic,
  Limits,
  OutgoingRecord,
  Position,
  Source,
  SubscribeOptions,
  TopicOrder,
} from '@sluice/driver'
import { measureRecord } from './codec.ts'
import { comparePositions } from './position.ts'
import type { TopicView } from './topic.ts'

/** What a topic's connection opens for it. */
export interface TopicParts {
  producer(): Promise<DriverProducer>
  subscribe(options: SubscribeOptions): Promise<Source>
}

/** One opened topic. */
export class LocalTopic implements DriverTopic {
  readonly name: string
  readonly order: TopicOrder
  readonly limits: Limits
  readonly #parts: TopicParts

  constructor(view: TopicView, limits: Limits, parts: TopicParts) {
    this.name = view.name
    this.order = view.order
    this.limits = limits
    this.#parts = parts
  }

  measure(record: OutgoingRecord): number {
    return measureRecord(record)
  }

  comparePositions(a: Position, b: Position): number {
    return comparePositions(a, b)
  }

  async producer(signal: AbortSignal): Promise<DriverProducer> {
    if (signal.aborted) throw StreamError.aborted(signal, `make a producer of topic "${this.name}"`)
    return this.#parts.producer()
  }

  async subscribe(options: SubscribeOptions, signal: AbortSignal): Promise<Source> {
    if (signal.aborted) throw StreamError.aborted(signal, `subscribe to topic "${this.name}"`)
    return this.#parts.subscribe(options)
  }
}
