import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { embeddedHarnesses } from '../embedded.ts'
import { toMatrix } from '../report/markdown.ts'
import { mergeReports, writeReport } from '../report/write.ts'
import { tally } from '../result.ts'
import type { Report } from '../result.ts'
import { runSuite } from '../suite.ts'

/**
 * Runs every embedded backend and writes the reports: `matrix.ts [--report reports] [--only name] [--write-readme]`. With
 * `--write-readme` the matrix goes between the markers in README.md. Ends with 1 when a case failed.
 */
const { values } = parseArgs({
  options: {
    report: { type: 'string', default: 'reports' },
    only: { type: 'string' },
    'write-readme': { type: 'boolean', default: false },
  },
})

const reports: Report[] = []
let failed = 0
for (const harness of embeddedHarnesses()) {
  if (values.only !== undefined && harness.name !== values.only) continue
  const report = await runSuite(harness, {
    onResult: (result) => {
      if (result.status === 'failed') console.log(`  failed: ${result.name}: ${result.message ?? ''}`)
    },
  })
  reports.push(report)
  const counts = tally(report.backends.flatMap((backend) => backend.results))
  failed += counts.failed
  console.log(
    `${harness.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.refused} refused, ${counts['not-run']} not run`,
  )
}

const merged = mergeReports(reports)
await writeReport(merged, values.report)
const matrix = toMatrix(merged)
console.log(`\n${matrix}`)
if (values['write-readme']) await intoReadme('README.md', matrix)
process.exit(failed === 0 ? 0 : 1)

async function intoReadme(path: string, text: string): Promise<void> {
  const [begin, end] = ['<!-- matrix -->', '<!-- /matrix -->']
  const readme = await readFile(path, 'utf8')
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} has no ${begin} followed by ${end}`)
  await writeFile(path, `${readme.slice(0, from + begin.length)}\n${text}\n${readme.slice(to)}`)
}
