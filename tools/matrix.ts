import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { natsHarness } from '../adapters/nats/test/harness.ts'
import { findServer } from '../adapters/nats/test/server.ts'
import { embeddedHarnesses } from '../conformance/src/embedded.ts'
import type { Harness } from '../conformance/src/harness.ts'
import { toMatrix } from '../conformance/src/report/markdown.ts'
import { mergeReports, writeReport } from '../conformance/src/report/write.ts'
import { tally } from '../conformance/src/result.ts'
import type { Report } from '../conformance/src/result.ts'
import { runSuite } from '../conformance/src/suite.ts'

/**
 * Runs every backend that can be run here and writes the reports: `matrix.ts [--report reports] [--only name] [--write-readme]`.
 * With `--write-readme` the matrix goes between the markers in README.md. A backend that cannot be run is named, with the
 * reason, and is an error where it should go into the README. Ends with 1 when a case failed.
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
for (const harness of await harnesses()) {
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

async function harnesses(): Promise<readonly Harness[]> {
  const server = await findServer()
  if (server.kind !== 'none') {
    return [...embeddedHarnesses(), natsHarness(server, 'key'), natsHarness(server, 'none')]
  }
  const why = `NATS is not in it: ${server.reason}; npm run brokers fetches a server`
  if (values['write-readme']) throw new Error(why)
  console.log(why)
  return embeddedHarnesses()
}

async function intoReadme(path: string, text: string): Promise<void> {
  const [begin, end] = ['<!-- matrix -->', '<!-- /matrix -->']
  const readme = await readFile(path, 'utf8')
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} has no ${begin} followed by ${end}`)
  await writeFile(path, `${readme.slice(0, from + begin.length)}\n${text}\n${readme.slice(to)}`)
}
