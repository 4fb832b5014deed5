import { parseArgs } from 'node:util'
import { embeddedHarnesses } from '../embedded.ts'
import { runSuite, urlHarness } from '../suite.ts'
import type { Harness, Result } from '../suite.ts'
import { tally } from '../result.ts'
import { signs } from '../report/matrix.ts'

/** Runs the suite against embedded backends by name, or any address: `suite.ts [--filter settle] memory local nats://…`. */
const { values, positionals } = parseArgs({
  options: { filter: { type: 'string' }, report: { type: 'string' }, quiet: { type: 'boolean' } },
  allowPositionals: true,
})

let failed = 0
for (const wanted of positionals.length === 0 ? ['memory', 'local'] : positionals) {
  const harness = find(wanted)
  const report = await runSuite(harness, {
    ...(values.filter === undefined ? {} : { filter: new RegExp(values.filter) }),
    ...(values.report === undefined ? {} : { report: values.report }),
    onResult: (result) => tell(result),
  })
  const [backend] = report.backends
  const counts = tally(backend?.results ?? [])
  failed += counts.failed
  const seconds = ((backend?.tookMs ?? 0) / 1000).toFixed(1)
  console.log(
    `${harness.name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.refused} refused, ${counts.diverged} diverged, ${counts['not-run']} not run, ${seconds} s`,
  )
}
process.exit(failed === 0 ? 0 : 1)

function find(wanted: string): Harness {
  return embeddedHarnesses().find((one) => one.name === wanted) ?? urlHarness(wanted)
}

function tell(result: Result): void {
  if (values.quiet === true && result.status !== 'failed') return
  const why = [result.reason, result.failure, result.message].filter((part) => part !== undefined).join(': ')
  console.log(`${signs[result.status]} ${result.name} ${result.tookMs} ms${why === '' ? '' : ` — ${why}`}`)
}
