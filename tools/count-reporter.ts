import type { Reporter, SerializedError, TestCase, TestModule, Vitest } from 'vitest/node'

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
 * test count as failed: a run in which tests are missing must not look green. So does a test that is skipped and does not
 * say why, unless the run was asked for some of the tests only.
 */
export class CountReporter implements Reporter {
  #chosen = false

  onInit(vitest: Vitest): void {
    this.#chosen = vitest.config.testNamePattern !== undefined
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const skips = formatSkips(modules, this.#chosen)
    const counts = count(modules, unhandled.length, this.#chosen)
    if (counts.failed > 0) process.exitCode = 1
    const lines = [...skips, formatCounts(counts)]
    // After every other reporter has written its summary.
    process.once('exit', () => process.stdout.write(`${lines.join('\n')}\n`))
  }
}

/** What was not run and why: a line for each reason, with how many tests it concerns. */
function formatSkips(modules: readonly TestModule[], chosen: boolean): readonly string[] {
  const reasons = new Map<string, number>()
  for (const module of modules) {
    for (const test of module.children.allTests('skipped')) {
      const reason = reasonOf(test) ?? (chosen ? 'not chosen' : `no reason given (${test.fullName})`)
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    }
  }
  return [...reasons].toSorted((a, b) => b[1] - a[1]).map(([reason, tests]) => `not run, ${tests} x: ${reason}`)
}

function reasonOf(test: TestCase): string | undefined {
  const result = test.result()
  return result.state === 'skipped' ? result.note : undefined
}

function count(modules: readonly TestModule[], unhandled: number, chosen: boolean): Counts {
  let [passed, failed, skipped] = [0, unhandled, 0]
  for (const module of modules) {
    failed += module.errors().length
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') passed++
      else if (state === 'skipped' && (chosen || reasonOf(test) !== undefined)) skipped++
      else failed++
    }
    for (const suite of module.children.allSuites()) failed += suite.errors().length
  }
  return { passed, failed, skipped }
}
