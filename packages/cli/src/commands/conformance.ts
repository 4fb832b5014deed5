import { text } from '../arguments.ts'
import type { Register } from '../command-context.ts'
import { UsageError, exitCodes, safeAddress } from '../failure.ts'
import { paint } from '../host.ts'

/** `sluice conformance` */
export const registerConformance: Register = (program, act) => {
  program
    .command('conformance <address>')
    .description(
      'run the conformance suite against a backend; it makes topics there and leaves them: give it a place of its own',
    )
    .option('--report <folder>', 'write conformance.json, .md and .html there')
    .option('--filter <text>', 'only cases whose name contains it')
    .action(
      act(async (context, [address = ''], options) => {
        context.backend = address
        const { runSuite, tally, urlHarness } = await import('@sluice/conformance/suite')
        const { output, host } = context
        const [report, filter] = [text(options, 'report'), text(options, 'filter')]
        output.note(`this makes topics on ${safeAddress(address)} and leaves them`)
        await context.interruptible(async (signal) => {
          const done = await runSuite(urlHarness(address), {
            signal,
            ...(report === undefined ? {} : { report }),
            ...(filter === undefined ? {} : { filter }),
            onResult(result) {
              const colour = result.status === 'failed' ? 'red' : result.status === 'passed' ? 'green' : 'yellow'
              const why = result.message ?? result.reason
              const line = `${paint(host.stdout, colour, result.status.padEnd(8))}  ${result.name}`
              output.result(result, why === undefined || why === '' ? line : `${line}  ${why}`)
            },
          })
          const counts = tally(done.backends.flatMap(({ results }) => results))
          output.note(
            Object.entries(counts)
              .map(([status, count]) => `${count} ${status}`)
              .join(', '),
          )
          const ran = Object.values(counts).reduce((sum, count) => sum + count, 0)
          if (ran === 0) throw new UsageError('no case has that name; leave --filter out to see them all')
          if (counts.failed > 0) context.exitCode = exitCodes.failure
        })
      }),
    )
}
