#!/usr/bin/env node
import { isNodeSupported, oldNodeFailure } from './node-version.ts'

// Everything else is imported only once it is known to run here.
if (isNodeSupported(process.versions.node)) {
  const { runCli } = await import('./cli.ts')
  const { processHost } = await import('./host.ts')
  // The code of a pipeline may keep timers and connections that would keep the process; all that was written is out by now.
  process.exit(await runCli(process.argv.slice(2), processHost()))
} else {
  process.stderr.write(`${oldNodeFailure(process.versions.node, process.execPath, process.argv.includes('--json'))}\n`)
  process.exitCode = 1
}
