import { conformance } from '@sluice/conformance'
import type { TopicOrder } from '@sluice/driver'
import { it } from 'vitest'
import { natsHarness } from './harness.ts'
import { findServer } from './server.ts'

/** Runs the suite on topics of one order, or shows why it cannot be run here. */
export function natsConformance(order: TopicOrder): void {
  const source = findServer()
  if (source.kind === 'none') {
    it(`conformance of nats, order ${order}: not run, ${source.reason}`, ({ skip }) => skip(source.reason))
    return
  }
  conformance(() => natsHarness(source, order))
}
