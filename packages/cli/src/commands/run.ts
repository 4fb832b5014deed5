import type { CommandContext, Register } from '../command-context.ts'
import { exitCodes, safeAddress } from '../failure.ts'
import { StatusLine } from '../status-line.ts'
import { PipelineStatus } from '../pipeline-status.ts'

/** `sluice run` */
export const registerRun: Register = (program, act) => {
  program
    .command('run [folder]')
    .description('run the pipeline of a folder or of a sluice.yaml; Ctrl-C drains and ends it')
    .option('--until-idle', 'end once every source has ended and everything was handled')
    .option('-v, --verbose', 'say more of what happens')
    .action(
      act(async (context, [folder = '.'], options) => {
        await run(context, folder, { untilIdle: options['untilIdle'] === true, verbose: options['verbose'] === true })
      }),
    )
}

async function run(
  context: CommandContext,
  folder: string,
  options: { readonly untilIdle: boolean; readonly verbose: boolean },
): Promise<void> {
  const { chooseBackend, loadPipeline, runPipeline } = await import('@sluice/runtime')
  const pipeline = await loadPipeline(folder)
  const { address } = chooseBackend({ ...context.namedBackend, pipeline })
  context.backend = address
  const { output, host } = context
  const line = new StatusLine(host, { hidden: output.quiet || output.json })
  const status = new PipelineStatus()
  output.note(`running ${pipeline.file} on ${safeAddress(address)}`)
  try {
    await context.interruptible(async (signal) => {
      signal.addEventListener('abort', () => output.note('draining; Ctrl-C again ends at once'), { once: true })
      const last = await runPipeline(pipeline, {
        backend: address,
        logger: context.logger(options.verbose),
        signal,
        untilIdle: options.untilIdle,
        onProgress: (progress) => line.show(status.line(progress)),
      })
      line.stop()
      for (const summary of status.summaries(last)) output.note(summary)
      if (output.json) for (const part of last) output.result(part, '')
    })
  } finally {
    line.stop()
  }
  // A pipeline is meant to be ended by Ctrl-C: once it has drained all is well.
  if (context.exitCode === exitCodes.interrupted) context.exitCode = exitCodes.ok
}
