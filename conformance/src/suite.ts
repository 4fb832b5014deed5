import { randomUUID } from 'node:crypto'
import { cases } from './cases/index.ts'
import type { Case } from './case.ts'
import { divergences, findDivergence, unknownDivergences } from './divergences.ts'
import type { Divergence } from './divergences.ts'
import { defaultTuning } from './harness.ts'
import type { Harness, World } from './harness.ts'
import { addressOf, openHarness } from './open.ts'
import { writeReport } from './report/write.ts'
import type { BackendReport, Report, Result } from './result.ts'
import { runCase } from './runner.ts'

export { all, childProcess, keyOrder, logShape, notRunYet, positions } from './case.ts'
export type { Case, Need } from './case.ts'
export { cases } from './cases/index.ts'
export { PausableClock } from './clock.ts'
export { CaseContext } from './context.ts'
export type { Shimmed } from './context.ts'
export { divergences } from './divergences.ts'
export type { Divergence } from './divergences.ts'
export { Unmet } from './expect.ts'
export { defaultTuning } from './harness.ts'
export type { Harness, NativeError, Tuning, World } from './harness.ts'
export type { OpenDriverOptions } from './open.ts'
export { toHtml } from './report/html.ts'
export { toMarkdown, toMatrix } from './report/markdown.ts'
export { writeReport } from './report/write.ts'
export { tally } from './result.ts'
export type { BackendReport, Report, Result, Status } from './result.ts'
export { runCase } from './runner.ts'
export type { RunCaseOptions } from './runner.ts'
export type { Call, Match, Operation, PartitionEvent } from './shim/call.ts'
export type { Failure, Rule, Times } from './shim/rules.ts'
export { RequestShim } from './shim/shim.ts'

/** How to run the suite. */
export interface SuiteOptions {
  /** Which cases: a part of their names, a pattern, or a choice. Default: all. */
  readonly filter?: string | RegExp | ((one: Case) => boolean)
  /** Called after each case. */
  readonly onResult?: (result: Result) => void
  /** A folder to write `conformance.json`, `.md` and `.html` to. Default: none. */
  readonly report?: string
  /** Ends the run after the current case; the rest is left out. */
  readonly signal?: AbortSignal
  /** Known divergences. Default: the register of this package. */
  readonly divergences?: readonly Divergence[]
  /** Cases to run. Default: every case there is. */
  readonly cases?: readonly Case[]
  /** Fails a case that leaves timers or sockets open. Default true. */
  readonly leaks?: boolean
}

/** A harness for a backend that its address alone describes. */
export function urlHarness(url: string, options: Partial<Harness> = {}): Harness {
  // A log without a name is nobody else's, and cases connect more than once.
  const shared = url.replace(/^memory:(?=\?|$)/, `memory:${randomUUID()}`)
  return { name: url.split(/[:?]/, 1)[0] ?? url, url: shared, ...options }
}

/** Runs every case against one backend, one at a time. Rejects only when the backend cannot be opened. */
export async function runSuite(harness: Harness, options: SuiteOptions = {}): Promise<Report> {
  const startedAt = new Date().toISOString()
  const started = performance.now()
  const register = options.divergences ?? divergences
  const { world, anchor } = await explore(harness)
  const results: Result[] = []
  for (const one of chosenCases(world, options)) {
    if (options.signal?.aborted === true) break
    const divergence = findDivergence(register, harness.name, one.name)
    const result = await runCase(one, world, { divergence, leaks: options.leaks ?? true, signal: options.signal })
    results.push(result)
    options.onResult?.(result)
  }
  for (const result of strayEntries(register, harness, options)) {
    results.push(result)
    options.onResult?.(result)
  }
  await anchor.close()
  await harness.close?.()
  const tookMs = Math.round(performance.now() - started)
  const backend: BackendReport = { backend: harness.name, capabilities: world.capabilities, results, tookMs }
  const report: Report = { version: 1, startedAt, node: process.version, backends: [backend] }
  if (options.report !== undefined) await writeReport(report, options.report)
  return report
}

/**
 * What is known of the backend, and what keeps it alive: one that lives in this process ends with its last connection. To any other
 * none is kept: one that comes back while a case runs, because the broker was away, would be taken for what the case left open.
 */
export interface Explored {
  readonly world: World
  readonly anchor: { close(): Promise<void> }
}

/** Opens the backend, to learn what may be asked of it. Close the anchor when the run has ended. */
export async function explore(harness: Harness): Promise<Explored> {
  // The backend may be started by this, which has a deadline of its own.
  await addressOf(harness)
  const signal = AbortSignal.timeout(30_000)
  const opened = await openHarness(harness, { signal })
  const driver = harness.mutate?.(opened) ?? opened
  try {
    const { capabilities } = driver
    const order = harness.topicSpec?.order ?? (capabilities.shapes.key === false ? 'none' : 'key')
    const shape = capabilities.shapes[order]
    if (shape === false)
      throw new Error(`harness ${harness.name} asks for topics of order ${order}, which ${driver.name} has not`)
    const name = `explore-${Date.now().toString(36)}${Math.floor(Math.random() * 1e6).toString(36)}`
    await driver.admin.createTopic(name, { ...harness.topicSpec, order }, signal)
    const { limits } = await driver.openTopic(name, signal)
    if (capabilities.admin.includes('delete')) await driver.admin.deleteTopic(name, signal)
    const world: World = {
      harness,
      tuning: { ...defaultTuning, ...harness.tuning },
      capabilities,
      limits,
      order,
      shape,
    }
    if (capabilities.embedded) return { world, anchor: driver }
    await driver.close()
    return { world, anchor: { close: () => Promise.resolve() } }
  } catch (error) {
    await driver.close()
    throw error
  }
}

/** The cases that a run consists of. */
export function chosenCases(world: World, options: SuiteOptions): readonly Case[] {
  const { filter } = options
  return (options.cases ?? cases).filter((one) => {
    if (one.applies !== undefined && !one.applies(world)) return false
    if (filter === undefined) return true
    if (typeof filter === 'string') return one.name.includes(filter)
    return filter instanceof RegExp ? filter.test(one.name) : filter(one)
  })
}

function strayEntries(register: readonly Divergence[], harness: Harness, options: SuiteOptions): readonly Result[] {
  const known = new Set((options.cases ?? cases).map((one) => one.name))
  return unknownDivergences(register, harness.name, known).map((entry) => ({
    name: entry.case,
    title: 'the divergence register names cases that exist',
    status: 'failed',
    reason: undefined,
    message: `there is no case ${entry.case}; correct the register`,
    failure: 'unmet',
    tookMs: 0,
  }))
}
