import { parseCrashArguments, usage, UsageError } from '../crash/arguments.ts'
import { playableMode } from '../crash/backend.ts'
import { runRounds } from '../crash/run.ts'

/**
 * Kills producers, consumers and function workers at random and checks that nothing acknowledged is lost, keys keep
 * their order, and no more is repeated than the contract allows: `npm run crash -- --rounds 100`.
 */
let leave = (): void => undefined
process.on('exit', () => leave())
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

process.exit(await main())

async function main(): Promise<number> {
  try {
    const args = parseCrashArguments(process.argv.slice(2), Date.now())
    const mode = args.backend === undefined ? args.mode : await playableMode(args.backend, args.mode)
    const failed = await runRounds(
      { ...args, mode },
      {
        print: (line) => console.log(line),
        environment: process.env,
        onStart: (clean) => (leave = clean),
      },
    )
    return failed === 0 ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${usage}`)
    return 2
  }
}
