import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { toHtml } from '../src/report/html.ts'
import { toMarkdown, toMatrix } from '../src/report/markdown.ts'
import { mergeReports, writeReport } from '../src/report/write.ts'
import type { Report, Result } from '../src/result.ts'
import { tally } from '../src/result.ts'

function result(name: string, status: Result['status'], more: Partial<Result> = {}): Result {
  return {
    name,
    title: `the title of ${name}`,
    status,
    reason: undefined,
    message: undefined,
    failure: undefined,
    tookMs: 5,
    ...more,
  }
}

function reportOf(backend: string, results: readonly Result[]): Report {
  return {
    version: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    node: 'v24',
    backends: [{ backend, capabilities: undefined, results, tookMs: 1500 }],
  }
}

const one = reportOf('one', [
  result('settle/skip', 'passed'),
  result('settle/retry', 'failed', { message: 'a <b> & "c"', failure: 'unmet' }),
  result('seek/time', 'refused', { reason: 'the capability seek has no time' }),
])
const two = reportOf('two', [
  result('settle/skip', 'diverged', { reason: 'known (https://example.org)', message: 'it came twice' }),
  result('fault/restart', 'not-run', { reason: 'needs harness.broker' }),
])
const both = mergeReports([one, two])

it('counts each status', () => {
  expect(tally(one.backends[0]?.results ?? [])).toEqual({ passed: 1, failed: 1, refused: 1, diverged: 0, 'not-run': 0 })
})

it('shows areas by backends in the matrix', () => {
  const lines = toMatrix(both).split('\n')
  expect(lines[0]).toBe('| | one | two |')
  expect(lines).toContain('| settle | ✓ 1 ✗ 1 | ≠ 1 |')
  expect(lines).toContain('| seek | ⊘ 1 |  |')
})

it('gives a reason for everything that is not passed', () => {
  const text = toMarkdown(both)
  for (const reason of [
    'the capability seek has no time',
    'needs harness.broker',
    'known (https://example.org) — it came twice',
    'a <b> & "c"',
  ]) {
    expect(text).toContain(reason)
  }
})

it('makes one page without other files, with text escaped, for light and dark', () => {
  const page = toHtml(both)
  expect(page).toContain('a &lt;b&gt; &amp; &quot;c&quot;')
  expect(page).toContain('color-scheme: light dark')
  expect(page).not.toMatch(/<script|<link|src=|url\(/)
})

it('writes all three forms', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-report-'))
  await writeReport(both, join(folder, 'deep'))
  expect((await readdir(join(folder, 'deep'))).toSorted()).toEqual([
    'conformance.html',
    'conformance.json',
    'conformance.md',
  ])
  await rm(folder, { recursive: true })
})
