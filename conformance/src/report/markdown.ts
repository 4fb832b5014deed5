import type { Report, Result, Status } from '../result.ts'
import { tally } from '../result.ts'
import { legend, signs, toAreas } from './matrix.ts'

const statuses: readonly Status[] = ['passed', 'failed', 'refused', 'diverged', 'not-run']

/** The matrix by areas, for a README: one row per area, one column per backend, with counts. */
export function toMatrix(report: Report): string {
  const names = report.backends.map((backend) => backend.backend)
  const rows = toAreas(report).map((area) => {
    const cells = names.map((_, column) => countCell(area.rows.flatMap((row) => row.cells[column] ?? [])))
    return `| ${area.name} | ${cells.join(' | ')} |`
  })
  const totals = report.backends.map((backend) => `**${countCell(backend.results)}**`)
  return [
    `| | ${names.join(' | ')} |`,
    `|---|${names.map(() => '---|').join('')}`,
    ...rows,
    `| **all** | ${totals.join(' | ')} |`,
    '',
    legend,
  ].join('\n')
}

function countCell(results: readonly Result[]): string {
  const counts = tally(results)
  const parts = statuses.filter((status) => counts[status] > 0).map((status) => `${signs[status]} ${counts[status]}`)
  return parts.join(' ')
}

/** The whole report: totals, every case on every backend, and why what is not passed is not. */
export function toMarkdown(report: Report): string {
  const names = report.backends.map((backend) => backend.backend)
  const lines = [
    '# Conformance report',
    '',
    `Started ${report.startedAt}, Node ${report.node}.`,
    '',
    '| backend | passed | failed | refused | diverged | not run | seconds |',
    '|---|---|---|---|---|---|---|',
    ...report.backends.map((backend) => {
      const counts = tally(backend.results)
      const cells = statuses.map((status) => counts[status]).join(' | ')
      return `| ${backend.backend} | ${cells} | ${(backend.tookMs / 1000).toFixed(1)} |`
    }),
    '',
    legend,
  ]
  for (const area of toAreas(report)) {
    lines.push('', `## ${area.name}`, '', `| case | ${names.join(' | ')} |`, `|---|${names.map(() => '---|').join('')}`)
    for (const row of area.rows) {
      const cells = row.cells.map((cell) => (cell === undefined ? '' : signs[cell.status]))
      lines.push(`| \`${row.name}\` ${row.title} | ${cells.join(' | ')} |`)
    }
  }
  for (const backend of report.backends) lines.push(...reasonsOf(backend.backend, backend.results))
  return `${lines.join('\n')}\n`
}

function reasonsOf(backend: string, results: readonly Result[]): readonly string[] {
  const told = results.filter((result) => result.status !== 'passed')
  if (told.length === 0) return []
  const line = (result: Result): string =>
    `- ${signs[result.status]} \`${result.name}\` ${result.status}: ${[result.reason, result.message].filter(Boolean).join(' — ')}`
  return ['', `## Why: ${backend}`, '', ...told.map(line)]
}
