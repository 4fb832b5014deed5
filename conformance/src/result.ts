import type { Capabilities } from '@sluice/driver'

/**
 * What came of a case.
 *
 * - `passed` the promise was kept
 * - `failed` it was not, or the case hung
 * - `refused` the backend cannot do it, says so in its capabilities, and refused it before any I/O
 * - `diverged` it failed as the divergence register says it does on this backend
 * - `not-run` the harness lacks something the case needs; `reason` says what
 */
export type Status = 'passed' | 'failed' | 'refused' | 'diverged' | 'not-run'

/** The result of one case on one backend. */
export interface Result {
  readonly name: string
  readonly title: string
  readonly status: Status
  /** Why it was refused, diverged or not run. */
  readonly reason: string | undefined
  /** Why it failed or diverged. */
  readonly message: string | undefined
  /** `unmet`: an expectation was not met; `hang`: the deadline passed; `crash`: the case threw something else; `leak`: handles stayed open. */
  readonly failure: 'unmet' | 'hang' | 'crash' | 'leak' | undefined
  readonly tookMs: number
}

/** Results of one backend. */
export interface BackendReport {
  readonly backend: string
  /** `undefined` when the backend could not be opened. */
  readonly capabilities: Capabilities | undefined
  readonly results: readonly Result[]
  readonly tookMs: number
}

/** Results of one or more backends. */
export interface Report {
  /** Version of the report's form. */
  readonly version: 1
  readonly startedAt: string
  readonly node: string
  readonly backends: readonly BackendReport[]
}

/** How many results of each status. */
export function tally(results: readonly Result[]): Readonly<Record<Status, number>> {
  const counts: Record<Status, number> = { passed: 0, failed: 0, refused: 0, diverged: 0, 'not-run': 0 }
  for (const result of results) counts[result.status]++
  return counts
}
