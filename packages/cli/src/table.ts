/** Rows as text in aligned columns under upper-case headings. Cells are single lines. */
export function formatTable<T extends object>(rows: readonly T[], columns: readonly (keyof T & string)[]): string {
  const cells = rows.map((row) => columns.map((column) => toCell(row[column])))
  const headings = columns.map((column) => column.replace(/[A-Z]/g, (letter) => ` ${letter}`).toUpperCase())
  const all = [headings, ...cells]
  const widths = columns.map((_, index) => Math.max(...all.map((row) => row[index]?.length ?? 0)))
  return all
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function toCell(value: unknown): string {
  if (value === undefined || value === null) return '-'
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.replace(/\s+/g, ' ')
}
