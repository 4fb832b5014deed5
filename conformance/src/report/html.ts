import type { BackendReport, Report, Result } from '../result.ts'
import { tally } from '../result.ts'
import { legend, signs, toAreas } from './matrix.ts'
import type { Area } from './matrix.ts'

const style = `
:root { color-scheme: light dark; --line: light-dark(#d9dde3, #333a44); --soft: light-dark(#f5f7f9, #171b21);
  --text: light-dark(#14181f, #e6e9ee); --dim: light-dark(#5b6573, #97a2b0); --paper: light-dark(#fff, #0f1216);
  --passed: light-dark(#0a7a3d, #4ccb85); --failed: light-dark(#c21f2c, #ff7078); --refused: light-dark(#7a5c00, #d9b24a);
  --diverged: light-dark(#7a2fb8, #c791f0); --not-run: light-dark(#68727f, #8a95a3); }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 78rem; background: var(--paper); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2.2rem 0 .6rem } p { color: var(--dim); margin: .4rem 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .38rem .6rem; text-align: left; vertical-align: top }
thead th { position: sticky; top: 0; background: var(--paper); font-weight: 600; white-space: nowrap }
td.cell { text-align: center; width: 6rem } td.cell summary { list-style: none; cursor: pointer; font-size: 1.1rem }
td.cell details[open] { text-align: left; font-size: .82rem; max-width: 24rem }
code { font: 13px ui-monospace, monospace } .title { color: var(--dim); display: block; font-size: .87rem }
.passed { color: var(--passed) } .failed { color: var(--failed); font-weight: 700 } .refused { color: var(--refused) }
.diverged { color: var(--diverged) } .not-run { color: var(--not-run) } .totals td, .totals th { background: var(--soft) }
`

/** The report as one page without any other file: the matrix, and behind each sign the reason. */
export function toHtml(report: Report): string {
  const names = report.backends.map((backend) => backend.backend)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice conformance report</title>
<style>${style}</style>
</head>
<body>
<h1>Conformance report</h1>
<p>Started ${escape(report.startedAt)}, Node ${escape(report.node)}. ${escape(legend.replaceAll('`', ''))}. Open a sign to read why.</p>
<div class="wide"><table class="totals">
<thead><tr><th>backend</th><th>passed</th><th>failed</th><th>refused</th><th>diverged</th><th>not run</th><th>seconds</th></tr></thead>
<tbody>
${report.backends.map(totalsRow).join('\n')}
</tbody></table></div>
${toAreas(report)
  .map((area) => areaTable(area, names))
  .join('\n')}
</body>
</html>
`
}

function totalsRow(backend: BackendReport): string {
  const counts = tally(backend.results)
  return `<tr><th scope="row">${escape(backend.backend)}</th><td class="passed">${counts.passed}</td><td${
    counts.failed > 0 ? ' class="failed"' : ''
  }>${counts.failed}</td><td class="refused">${counts.refused}</td><td class="diverged">${counts.diverged}</td><td class="not-run">${
    counts['not-run']
  }</td><td>${(backend.tookMs / 1000).toFixed(1)}</td></tr>`
}

function areaTable(area: Area, names: readonly string[]): string {
  const head = names.map((name) => `<th>${escape(name)}</th>`).join('')
  const rows = area.rows.map(
    (row) =>
      `<tr><td><code>${escape(row.name)}</code><span class="title">${escape(row.title)}</span></td>${row.cells.map(cell).join('')}</tr>`,
  )
  return `<h2>${escape(area.name)}</h2>
<div class="wide"><table><thead><tr><th>case</th>${head}</tr></thead><tbody>
${rows.join('\n')}
</tbody></table></div>`
}

function cell(result: Result | undefined): string {
  if (result === undefined) return '<td class="cell" title="the capability is granted"></td>'
  const why = [result.reason, result.message].filter((part) => part !== undefined).join(' — ')
  const sign = `<span class="${result.status}" title="${escape(result.status)}, ${result.tookMs} ms">${signs[result.status]}</span>`
  if (why === '') return `<td class="cell">${sign}</td>`
  return `<td class="cell"><details><summary>${sign}</summary>${escape(result.status)}: ${escape(why)}</details></td>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
