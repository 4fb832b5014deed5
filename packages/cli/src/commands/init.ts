import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { StreamError } from '@sluice/driver'
import type { Register } from '../command-context.ts'
import { firstRun } from '../first-run.ts'
import { makeFolder } from '../make-folder.ts'
import { starterFiles } from '../starter.ts'

/** `sluice init` */
export const registerInit: Register = (program, act) => {
  program
    .command('init [folder]')
    .description('write a small pipeline to start from')
    .action(
      act(async (context, [folder = '.']) => {
        const root = resolve(folder)
        const files = starterFiles(basename(root))
        const taken = Object.keys(files).filter((name) => existsSync(join(root, name)))
        if (taken.length > 0) {
          throw new StreamError('already-exists', `${taken.join(', ')} is in ${root} already; choose an empty folder`)
        }
        makeFolder(root)
        for (const [name, content] of Object.entries(files)) {
          await writeFile(join(root, name), content, { flag: 'wx' })
          context.output.result({ file: join(folder, name) }, `wrote ${join(folder, name)}`)
        }
        context.output.note(`\nnext: ${firstRun(folder, context.host.command)}`)
      }),
    )
}
