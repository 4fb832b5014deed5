import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { fanOut, kinesisHarness, localStackHarness } from '../adapters/kinesis/test/harness.ts'
import { isOld, natsClusterHarness, natsHarness } from '../adapters/nats/test/harness.ts'
import { findServer } from '../adapters/nats/test/server.ts'
import { embeddedHarnesses } from '../conformance/src/embedded.ts'
import type { Harness } from '../conformance/src/harness.ts'
import { toMatrix } from '../conformance/src/report/markdown.ts'
import { mergeReports, writeReport } from '../conformance/src/report/write.ts'
import { tally } from '../conformance/src/result.ts'
import type { Report } from '../conformance/src/result.ts'
import { runSuite } from '../conformance/src/suite.ts'
import { findLocalStack } from '../packages/emulators/src/index.ts'

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

/** Most of a suite's time goes into waiting. */
const atOnce = 4

const { only } = values
const reports = only === undefined ? await all() : [await one(only)]
const merged = mergeReports(reports)
await writeReport(merged, values.report)
if (only === undefined) {
  const matrix = toMatrix(merged)
  console.log(`\n${matrix}`)
  if (values['write-readme']) await intoReadme('README.md', matrix)
}
const { failed } = tally(merged.backends.flatMap((backend) => backend.results))
process.exit(failed === 0 ? 0 : 1)

/** Each in a process of its own, a few at a time, the last ones first: they take longest. Reports come in the order of the harnesses. */
async function all(): Promise<readonly Report[]> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-matrix-'))
  const waiting = [...(await harnesses()).entries()].toReversed()
  const done: Report[] = []
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, { name }] = next
      const report = join(folder, String(index))
      await child(name, report)
      done[index] = JSON.parse(await readFile(join(report, 'conformance.json'), 'utf8')) as Report
    }
  }
  try {
    await Promise.all(Array.from({ length: atOnce }, work))
    return done
  } finally {
    await rm(folder, { recursive: true })
  }
}

function child(name: string, report: string): Promise<void> {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), '--only', name, '--report', report]
  const running = spawn(process.execPath, args, { stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    running.once('error', reject)
    running.once('close', () => resolve())
  })
}

async function one(name: string): Promise<Report> {
  const harness = (await harnesses()).find((candidate) => candidate.name === name)
  if (harness === undefined) throw new Error(`there is no harness "${name}" here`)
  const report = await runSuite(harness, {
    onResult: (result) => {
      if (result.status === 'failed') console.log(`  failed: ${result.name}: ${result.message ?? ''}`)
    },
  })
  const counts = tally(report.backends.flatMap((backend) => backend.results))
  console.log(
    `${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.refused} refused, ${counts['not-run']} not run`,
  )
  return report
}

async function harnesses(): Promise<readonly Harness[]> {
  const { env } = process
  const kinesis = [kinesisHarness(), kinesisHarness(...fanOut)]
  const found = await findLocalStack({ env })
  if ('tried' in found) missing('LocalStack', found.tried.join('; '))
  const localStack = 'tried' in found ? [] : [localStackHarness(found, env)]
  return [...embeddedHarnesses(), ...(await natsHarnesses()), ...kinesis, ...localStack]
}

/** A server alone, and a cluster where there is a server to start. */
async function natsHarnesses(): Promise<readonly Harness[]> {
  const server = await findServer()
  if (server.kind === 'none') {
    missing('NATS', server.reason)
    return []
  }
  const alone = [natsHarness(server, 'key'), natsHarness(server, 'none')]
  if (server.kind === 'binary' && !isOld(server.binary))
    return [...alone, natsClusterHarness(server.binary, 'key'), natsClusterHarness(server.binary, 'none')]
  missing('a NATS cluster', 'the server there is, is none that three could be started of, or too old')
  return alone
}

/** A backend that cannot be run: in the README it has to be. */
function missing(name: string, reason: string): void {
  const why = `${name} is not in it: ${reason}; npm run brokers fetches it`
  if (values['write-readme']) throw new Error(why)
  console.log(why)
}

async function intoReadme(path: string, text: string): Promise<void> {
  const [begin, end] = ['<!-- matrix -->', '<!-- /matrix -->']
  const readme = await readFile(path, 'utf8')
  const [from, to] = [readme.indexOf(begin), readme.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} has no ${begin} followed by ${end}`)
  await writeFile(path, `${readme.slice(0, from + begin.length)}\n${text}\n${readme.slice(to)}`)
}
