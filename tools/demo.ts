import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'

/**
 * `npm run demo`: the earthquakes pipeline from the start. A second `sluice run` of it would find everything handled
 * already and print nothing, so what an earlier run has kept is removed first.
 */
const root = join(import.meta.dirname, '..')
const example = join(root, 'examples/earthquakes')
for (const kept of ['data', 'archive']) rmSync(join(example, kept), { recursive: true, force: true })

const main = join(root, 'packages/cli/src/main.ts')
const args = ['--conditions=@sluice/source', main, 'run', example, '--until-idle', ...process.argv.slice(2)]
process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1
