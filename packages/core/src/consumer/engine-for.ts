import { StreamError } from '@sluice/driver'
import type { Capabilities, DriverTopic } from '@sluice/driver'
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
