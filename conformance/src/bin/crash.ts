import { parseCrashArguments, usage, UsageError } from '../crash/arguments.ts'
import type { CrashArguments } from '../crash/arguments.ts'
import { runRounds } from '../crash/run.ts'

/**
 * Kills producers, consumers and function workers at random and checks that nothing acknowledged is lost, keys keep
 * their order, and no more is repeated than the contract allows: `npm run crash -- --rounds 100`.
 */
const args = parse()
let dismiss = (): void => undefined
process.on('exit', () => dismiss())
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

const failed = await runRounds(args, {
  print: (line) => console.log(line),
  environment: process.env,
  onStart: (end) => (dismiss = end),
  signal: new AbortController().signal,
})
process.exit(failed === 0 ? 0 : 1)

function parse(): CrashArguments {
  try {
    return parseCrashArguments(process.argv.slice(2), Date.now())
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${usage}`)
    process.exit(2)
  }
}
