import { StreamError } from '@sluice/driver'
import type {
  Capabilities,
  DriverProducer,
  DriverTopic,
  Limits,
  OutgoingRecord,
  Position,
  Source,
  SubscribeOptions,
  TopicOrder,
} from '@sluice/driver'
import { comparePositions, measureRecord } from './codec.ts'
import type { TopicView } from './topic.ts'

/** What a topic's connection opens for it. */
export interface TopicParts {
  producer(): Promise<DriverProducer>
  subscribe(options: SubscribeOptions): Promise<Source>
}

/** One opened topic. */
export class NatsTopic implements DriverTopic {
  readonly name: string
  readonly order: TopicOrder
  readonly limits: Limits
  readonly requestOrder: Capabilities['requestOrder']
  readonly #parts: TopicParts

  constructor(view: TopicView, limits: Limits, parts: TopicParts) {
    this.name = view.name
    this.order = view.info.order
    this.limits = limits
    this.requestOrder = view.storesTogether ? 'kept' : 'none'
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
