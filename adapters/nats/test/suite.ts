import { conformance } from '@sluice/conformance'
import type { TopicOrder } from '@sluice/driver'
import { beforeEach, expect, it } from 'vitest'
import { natsHarness } from './harness.ts'
import { findServer } from './server.ts'

/** Runs the suite on topics of one order, or shows why it cannot be run here. */
export async function natsConformance(order: TopicOrder): Promise<void> {
  const source = await findServer()
  if (source.kind === 'none') tellWhyNot(`conformance of nats, order ${order}`, `no nats-server: ${source.reason}`)
  else conformance(() => natsHarness(source, order))
}

/** Called in a `describe`: where something is missing that its tests need, each is shown as skipped, with why. */
export function needs(missing: string | undefined): void {
  if (missing !== undefined) beforeEach(({ skip }) => skip(missing))
}

/** A test that is shown as skipped, with its reason. */
function tellWhyNot(name: string, reason: string): void {
  it(`${name}: not run`, ({ skip }) => {
    expect(reason).not.toBe('')
    skip(reason)
  })
}
