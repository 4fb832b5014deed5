import { StreamError } from '@sluice/driver'
import type { Capabilities, DriverTopic, Source } from '@sluice/driver'
import { madeAnew } from './consumer-errors.ts'
import type { EngineDeps } from './engine.ts'
import { LogEngine } from './log-engine.ts'
import { QueueEngine } from './queue-engine.ts'

/** The engine for a topic, by the shape that its backend gives topics of its order. */
export function engineFor(
  topic: DriverTopic,
  capabilities: Capabilities,
  deps: EngineDeps,
  transactional: boolean,
): LogEngine | QueueEngine {
  const shape = capabilities.shapes[topic.order]
  if (shape === false) throw new StreamError('unsupported', `this backend has no topics with order "${topic.order}"`)
  if (shape === 'log') return new LogEngine(deps, topic, transactional)
  return new QueueEngine(
    deps,
    topic,
    capabilities.retryDelay && capabilities.attempts === 'durable' && topic.order === 'none',
  )
}

/** Gives an engine what it reads. Throws `conflict` where that has not the shape that the topic had when it was opened. */
export function attach(engine: LogEngine | QueueEngine, source: Source, topic: string): void {
  if (engine instanceof LogEngine) {
    if (source.shape !== 'log') throw madeAnew(topic, 'log', source.shape)
    engine.attach(source)
  } else {
    if (source.shape !== 'queue') throw madeAnew(topic, 'queue', source.shape)
    engine.attach(source)
  }
}
