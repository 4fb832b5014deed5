import { afterAll, beforeAll, describe, it } from 'vitest'
import { cases } from './cases/index.ts'
import { divergences, findDivergence } from './divergences.ts'
import type { Harness, World } from './harness.ts'
import type { Result } from './result.ts'
import { writeReport } from './report/write.ts'
import { runCase } from './runner.ts'
import { explore } from './suite.ts'
import type { Explored, SuiteOptions } from './suite.ts'

export type { Case } from './case.ts'
export type { Divergence } from './divergences.ts'
export { TcpProxy } from './faults/tcp-proxy.ts'
export type { Endpoint } from './faults/tcp-proxy.ts'
export type { Broker, Harness, NativeError, Tuning, World } from './harness.ts'
export type { BackendReport, Report, Result, Status } from './result.ts'
export { RequestShim } from './shim/shim.ts'
export { runSuite, urlHarness } from './suite.ts'
export type { SuiteOptions } from './suite.ts'

/** How long a backend may take to be started and looked at, in milliseconds: LocalStack on a busy machine. */
const startMs = 120_000

/**
 * Registers every case with vitest, as one `describe`. Cases that cannot be run here are shown as skipped with their
 * reason; there is no other way to skip.
 */
export function conformance(harnessOf: () => Harness, options: SuiteOptions = {}): void {
  const harness = harnessOf()
  const register = options.divergences ?? divergences
  const results: Result[] = []
  describe(`conformance of ${harness.name}`, () => {
    let world: World
    // Not there when the backend could not be explored.
    let anchor: Explored['anchor'] | undefined
    const started = performance.now()
    const startedAt = new Date().toISOString()
    beforeAll(async () => {
      ;({ world, anchor } = await explore(harness))
    }, startMs)
    afterAll(async () => {
      await anchor?.close()
      await harness.close?.()
      if (options.report === undefined) return
      const tookMs = Math.round(performance.now() - started)
      const backend = { backend: harness.name, capabilities: world.capabilities, results, tookMs }
      await writeReport({ version: 1, startedAt, node: process.version, backends: [backend] }, options.report)
    })
    for (const one of (options.cases ?? cases).filter((each) => chosen(each.name, options))) {
      it(`${one.name}: ${one.title}`, { timeout: 120_000 }, async ({ skip }) => {
        if (one.applies !== undefined && !one.applies(world)) skip('the capability is granted')
        const divergence = findDivergence(register, harness.name, one.name)
        const result = await runCase(one, world, { divergence, leaks: options.leaks ?? true })
        results.push(result)
        options.onResult?.(result)
        if (result.status === 'failed') throw new Error(`${one.name}: ${result.message ?? 'failed'}`)
        if (result.status === 'not-run') skip(result.reason)
        if (result.status === 'diverged') skip(`diverges: ${result.reason ?? ''}`)
      })
    }
  })
}

function chosen(name: string, options: SuiteOptions): boolean {
  const { filter } = options
  if (filter === undefined) return true
  if (typeof filter === 'string') return name.includes(filter)
  if (filter instanceof RegExp) return filter.test(name)
  return cases.some((one) => one.name === name && filter(one))
}
