import type { Report, Result, Status } from '../result.ts'

/** One row of the matrix: a case, and its result on each backend, in the order of the backends. */
export interface Row {
  readonly name: string
  readonly title: string
  readonly cells: readonly (Result | undefined)[]
}

/** Rows of one area. */
export interface Area {
  readonly name: string
  readonly rows: readonly Row[]
}

/** One sign per status, the same in every report. */
export const signs: Readonly<Record<Status, string>> = {
  passed: '✓',
  failed: '✗',
  refused: '⊘',
  diverged: '≠',
  'not-run': '·',
}

/** What the signs mean. */
export const legend: string =
  '✓ passed · ✗ failed · ⊘ refused (the backend cannot, and says so before any I/O) · ≠ diverges as registered · `·` not run · empty: the capability is granted'

/** Cases by area, in the order in which they first occur. */
export function toAreas(report: Report): readonly Area[] {
  const rows = new Map<string, { title: string; cells: (Result | undefined)[] }>()
  report.backends.forEach((backend, column) => {
    for (const result of backend.results) {
      const row = rows.get(result.name) ?? { title: result.title, cells: report.backends.map(() => undefined) }
      row.cells[column] = result
      rows.set(result.name, row)
    }
  })
  const areas = new Map<string, Row[]>()
  for (const [name, row] of rows) {
    const area = name.split('/', 1)[0] ?? name
    areas.set(area, [...(areas.get(area) ?? []), { name, ...row }])
  }
  return [...areas].map(([name, of]) => ({ name, rows: of }))
}
