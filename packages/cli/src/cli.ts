import { Command, CommanderError } from 'commander'
import { CommandContext } from './command-context.ts'
import type { Action, GlobalOptions } from './command-context.ts'
import { registerCompletion } from './commands/completion.ts'
import { registerConformance } from './commands/conformance.ts'
import { registerDeadLetters } from './commands/dead-letters.ts'
import { registerDoctor, registerPlan } from './commands/doctor.ts'
import { registerEmulators } from './commands/emulators.ts'
import { registerGroups } from './commands/groups.ts'
import { registerInit } from './commands/init.ts'
import { registerRun } from './commands/run.ts'
import { registerSend } from './commands/send.ts'
import { registerTail } from './commands/tail.ts'
import { registerTopics } from './commands/topics.ts'
import type { Host } from './host.ts'
import { paint } from './host.ts'
import { ResultStream } from './result-stream.ts'
import { version } from './version.ts'

const registrations = [
  registerInit,
  registerRun,
  registerSend,
  registerTail,
  registerTopics,
  registerGroups,
  registerDeadLetters,
  registerDoctor,
  registerPlan,
  registerConformance,
  registerEmulators,
  registerCompletion,
]

/** Runs the command line and resolves with the exit code: 0 ok, 1 failure, 2 usage, 130 interrupted. Never rejects. */
export async function runCli(argv: readonly string[], host: Host): Promise<number> {
  let exitCode = 0
  const json = asksForJson(argv)
  const results = new ResultStream(host.stdout)
  const program = makeProgram(host, results, json)
  const act =
    (action: Action) =>
    async (...received: unknown[]): Promise<void> => {
      const command = received.at(-1) as Command
      const context = new CommandContext(host, results, command.optsWithGlobals<GlobalOptions>())
      const run = (): Promise<void> => action(context, command.processedArgs.flat() as string[], command.opts())
      exitCode = await perform(context, run, pathOf(program, argv))
    }
  for (const register of registrations) register(program, act)
  try {
    await program.parseAsync(argv, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode !== 0) exitCode = await refuse(host, error, json, pathOf(program, argv))
  }
  try {
    await results.flush()
  } catch (error) {
    if (exitCode === 0) exitCode = await fail(host, error, { json, backend: undefined, command: 'sluice' })
  }
  return exitCode
}

function makeProgram(host: Host, results: ResultStream, json: boolean): Command {
  return new Command('sluice')
    .description('One interface over the event logs people already run.')
    .version(version(), '-V, --version')
    .option('-b, --backend <address>', 'backend to use; default: SLUICE_BACKEND, ./sluice.yaml, local:./data')
    .option('--json', 'one JSON object per line')
    .option('-q, --quiet', 'only results and errors')
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => results.write(text),
      // The help of a command whose subcommand is missing.
      writeErr: (text) => void (json || host.stderr.write(text)),
      // Told as a block, like every other error.
      outputError: () => undefined,
    })
    .addHelpText('after', '\nExit codes: 0 ok, 1 failure, 2 usage, 130 interrupted.')
}

/** Known before the line is parsed, which may fail. What follows `--` is no option. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json')
}

/** The command that a line means, as far as there is one: `sluice topics create`. */
function pathOf(program: Command, argv: readonly string[]): string {
  let at: Command = program
  let path = program.name()
  for (const word of argv) {
    const next = at.commands.find((command) => command.name() === word)
    if (next === undefined) continue
    at = next
    path += ` ${word}`
  }
  return path
}

async function perform(context: CommandContext, action: () => Promise<void>, command: string): Promise<number> {
  try {
    await action()
    return context.exitCode
  } catch (error) {
    return fail(context.host, error, { json: context.output.json, backend: context.backend, command })
  }
}

/** Tells that the parser makes no sense of the line. Where a subcommand is missing, the help that was shown says it. */
async function refuse(host: Host, error: CommanderError, json: boolean, command: string): Promise<number> {
  const { exitCodes, UsageError } = await import('./failure.ts')
  const isHelp = error.code === 'commander.help'
  if (isHelp && !json) return exitCodes.usage
  const said = error.message.replace(/^error: /, '').replace(/\.$/, '')
  const guess = said.replace(/\n\(Did you mean ([^]*)\)$/, '; did you mean $1')
  const refusal = new UsageError(isHelp ? 'the name of a command is missing' : guess)
  return fail(host, refusal, { json, backend: undefined, command })
}

/** Tells an error on stderr and gives the exit code. */
async function fail(
  { stderr }: Host,
  error: unknown,
  {
    json,
    backend,
    command,
  }: { readonly json: boolean; readonly backend: string | undefined; readonly command: string },
): Promise<number> {
  const { exitCodes, formatFailure, toFailure, UsageError } = await import('./failure.ts')
  const failure = toFailure(error, backend, command)
  if (json) stderr.write(`${JSON.stringify({ error: failure })}\n`)
  else stderr.write(`${paint(stderr, 'red', formatFailure(failure))}\n`)
  return error instanceof UsageError ? exitCodes.usage : exitCodes.failure
}
