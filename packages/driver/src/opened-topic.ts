import type { Source, SubscribeOptions } from './consumer.ts'
import type { DriverTopic } from './driver.ts'
import { StreamError } from './errors.ts'
import type { DriverProducer } from './producer.ts'

/** What an adapter says of a topic, and what it opens for it. */
export interface TopicParts extends Omit<DriverTopic, 'producer' | 'subscribe'> {
  producer(): DriverProducer | Promise<DriverProducer>
  subscribe(options: SubscribeOptions, signal: AbortSignal): Promise<Source>
}

/** A topic of its parts. What was aborted before it began is refused here, for all adapters alike. */
export function openedTopic(parts: TopicParts): DriverTopic {
  const refuseAborted = (signal: AbortSignal, what: string): void => {
    if (signal.aborted) throw StreamError.aborted(signal, `${what} topic "${parts.name}"`)
  }
  return {
    ...parts,
    producer: async (signal) => {
      refuseAborted(signal, 'make a producer of')
      return parts.producer()
    },
    subscribe: async (options, signal) => {
      refuseAborted(signal, 'subscribe to')
      return parts.subscribe(options, signal)
    },
  }
}
