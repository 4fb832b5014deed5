import { Command, CommanderError } from 'commander'
import { CommandContext } from './command-context.ts'
import type { Action, GlobalOptions } from './command-context.ts'
import { registerCompletion } from './commands/completion.ts'
import { registerConformance } from './commands/conformance.ts'
import { registerDeadLetters } from './commands/dead-letters.ts'
import { registerDoctor, registerPlan } from './commands/doctor.ts'
import { registerGroups } from './commands/groups.ts'
import { registerInit } from './commands/init.ts'
import { registerRun } from './commands/run.ts'
import { registerSend } from './commands/send.ts'
import { registerTail } from './commands/tail.ts'
import { registerTopics } from './commands/topics.ts'
import type { Host } from './host.ts'
import { paint } from './host.ts'
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
  registerCompletion,
]

/** Runs the command line and resolves with the exit code: 0 ok, 1 failure, 2 usage, 130 interrupted. Never rejects. */
export async function runCli(argv: readonly string[], host: Host): Promise<number> {
  let exitCode = 0
  const program = makeProgram(host)
  const act =
    (action: Action) =>
    async (...received: unknown[]): Promise<void> => {
      const command = received.at(-1) as Command
      const context = new CommandContext(host, command.optsWithGlobals<GlobalOptions>())
      exitCode = await perform(context, () => action(context, command.processedArgs.flat() as string[], command.opts()))
    }
  for (const register of registrations) register(program, act)
  try {
    await program.parseAsync(argv, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    throw error
  }
}

function makeProgram(host: Host): Command {
  return new Command('sluice')
    .description('One interface over the event logs people already run.')
    .version(version(), '-V, --version')
    .option('-b, --backend <address>', 'backend to use; default: SLUICE_BACKEND, ./sluice.yaml, local:./data')
    .option('--json', 'one JSON object per line')
    .option('-q, --quiet', 'only results and errors')
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => void host.stdout.write(text),
      writeErr: (text) => void host.stderr.write(text),
      outputError: (text, write) => write(`${paint(host.stderr, 'red', text.trimEnd())}\n`),
    })
    .addHelpText('after', '\nExit codes: 0 ok, 1 failure, 2 usage, 130 interrupted.')
}

async function perform(context: CommandContext, action: () => Promise<void>): Promise<number> {
  try {
    await action()
    return context.exitCode
  } catch (error) {
    const { exitCodes, formatFailure, toFailure, UsageError } = await import('./failure.ts')
    const failure = toFailure(error, context.backend)
    const { stderr } = context.host
    if (context.output.json) stderr.write(`${JSON.stringify({ error: failure })}\n`)
    else stderr.write(`${paint(stderr, 'red', formatFailure(failure))}\n`)
    return error instanceof UsageError ? exitCodes.usage : exitCodes.failure
  }
}
