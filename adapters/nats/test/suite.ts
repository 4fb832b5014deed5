import { conformance } from '@sluice/conformance'
import type { TopicOrder } from '@sluice/driver'
import { beforeEach, expect, it } from 'vitest'
import { isOld, natsClusterHarness, natsHarness } from './harness.ts'
import { findBinary, findServer } from './server.ts'

/** Runs the suite on topics of one order, or shows why it cannot be run here. */
export async function natsConformance(order: TopicOrder): Promise<void> {
  const source = await findServer()
  if (source.kind === 'none') tellWhyNot(`conformance of nats, order ${order}`, `no nats-server: ${source.reason}`)
  else conformance(() => natsHarness(source, order))
}

/** Runs the suite on a cluster, of the newest server only: one server of each version is tried besides. */
export async function natsClusterConformance(order: TopicOrder): Promise<void> {
  const name = `conformance of a nats cluster, order ${order}`
  const found = await findBinary()
  if ('tried' in found) tellWhyNot(name, `no nats-server: ${found.tried.join('; ')}`)
  else if (isOld(found)) tellWhyNot(name, `nats-server ${found.version}: of old ones only a server alone is tried`)
  else conformance(() => natsClusterHarness(found, order))
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
