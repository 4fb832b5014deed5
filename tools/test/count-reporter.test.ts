import { expect, it } from 'vitest'
import { formatCounts } from '../count-reporter.ts'

it('ends a run with passed and failed, naming skipped tests only when there are any', () => {
  expect(formatCounts({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed')
  expect(formatCounts({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped')
})

it('runs under the Node version that the repository pins', () => {
  expect(process.versions.node.split('.')[0]).toBe('24')
})
