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
import type { Encoding } from './config.ts'
import { comparePositions } from './places.ts'

/** What a topic's connection opens for it. */
export interface TopicParts {
  producer(): DriverProducer
  subscribe(options: SubscribeOptions, signal: AbortSignal): Promise<Source>
}

/** One opened topic. */
export class KinesisTopic implements DriverTopic {
  readonly name: string
  readonly order: TopicOrder = 'key'
  readonly limits: Limits
  readonly #encoding: Encoding
  readonly #parts: TopicParts

  constructor(name: string, limits: Limits, encoding: Encoding, parts: TopicParts) {
    this.name = name
    this.limits = limits
    this.#encoding = encoding
    this.#parts = parts
  }

  measure(record: OutgoingRecord): number {
    return measureRecord(this.#encoding, record)
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
    return this.#parts.subscribe(options, signal)
  }
}
