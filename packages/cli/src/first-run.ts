import { createRequire } from 'node:module'
import { basename, join, resolve } from 'node:path'

/** What the starter cannot do without. */
const needed = ['@sluice/core', '@sluice/local']

/**
 * The shell line that runs a new pipeline for the first time. Where its packages are found already, as in a workspace or in
 * a clone of Sluice, by the command that wrote it (`command`: Node, its options, the script); elsewhere it installs them.
 */
export function firstRun(folder: string, command: readonly string[]): string {
  const enter = resolve(folder) === process.cwd() ? [] : [`cd ${quoted(folder)}`]
  const isFound = isFoundFrom(folder)
  const install = isFound ? [] : ['npm install']
  const isBin = basename(command.at(-1) ?? '') === 'sluice'
  const sluice = isFound && !isBin ? command.map(quoted).join(' ') : 'npx sluice'
  return [...enter, ...install, `${sluice} run --until-idle`].join(' && ')
}

function isFoundFrom(folder: string): boolean {
  const require = createRequire(join(resolve(folder), 'package.json'))
  try {
    for (const name of needed) require.resolve(name)
    return true
  } catch {
    return false
  }
}

/** A word as a POSIX shell reads it back. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
