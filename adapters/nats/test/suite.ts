import { conformance } from '@sluice/conformance'
import type { TopicOrder } from '@sluice/driver'
import { expect, it } from 'vitest'
import { natsHarness } from './harness.ts'
import { findServer } from './server.ts'

/** Runs the suite on topics of one order, or shows why it cannot be run here. */
export async function natsConformance(order: TopicOrder): Promise<void> {
  const source = await findServer()
  if (source.kind === 'none') tellWhyNot(`conformance of nats, order ${order}`, source.reason)
  else conformance(() => natsHarness(source, order))
}

/** A test that is shown as skipped, with its reason. */
export function tellWhyNot(name: string, reason: string): void {
  it(`${name}: not run`, ({ skip }) => {
    expect(reason).not.toBe('')
    skip(reason)
  })
}
