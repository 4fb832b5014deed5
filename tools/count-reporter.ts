import type { Reporter, SerializedError, TestModule } from 'vitest/node'

/** What came of a test run. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The line that machines read. Skipped tests are named only when there are any. */
export function formatCounts(counts: Counts): string {
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
  return `${counts.passed} passed, ${counts.failed} failed${skipped}`
}

/**
 * Ends a vitest run with one line, `N passed, N failed`. A module that could not be loaded and an error outside any
 * test count as failed: a run in which tests are missing must not look green.
 */
export class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const lines = [...formatSkips(modules), formatCounts(count(modules, unhandled.length))]
    // After every other reporter has written its summary.
    process.once('exit', () => process.stdout.write(`${lines.join('\n')}\n`))
  }
}

/** What was not run and why: a line for each reason, with how many tests it concerns. */
function formatSkips(modules: readonly TestModule[]): readonly string[] {
  const reasons = new Map<string, number>()
  for (const module of modules) {
    for (const test of module.children.allTests('skipped')) {
      const result = test.result()
      const reason = (result.state === 'skipped' ? result.note : undefined) ?? `no reason given (${test.fullName})`
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    }
  }
  return [...reasons].toSorted((a, b) => b[1] - a[1]).map(([reason, tests]) => `not run, ${tests} x: ${reason}`)
}

function count(modules: readonly TestModule[], unhandled: number): Counts {
  let [passed, failed, skipped] = [0, unhandled, 0]
  for (const module of modules) {
    failed += module.errors().length
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') passed++
      else if (state === 'skipped') skipped++
      else failed++
    }
    for (const suite of module.children.allSuites()) failed += suite.errors().length
  }
  return { passed, failed, skipped }
}
