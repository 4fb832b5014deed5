// Runs on any Node that knows modules: imports nothing, and is written so that an old one can read it.

/** The first Node with `node:sqlite`. */
const needed = [22, 13] as const

/** Whether this version of Node, such as `22.13.0`, can run the command. */
export function isNodeSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > needed[0] || (major === needed[0] && minor >= needed[1])
}

/** The block, or with `--json` the object, that tells whoever has an old Node what is needed and what there is. */
export function oldNodeFailure(version: string, executable: string, json: boolean): string {
  const failure = {
    code: 'unsupported',
    what: `sluice needs Node ${needed.join('.')} or later; this is Node ${version}`,
    where: executable,
    help: 'install Node 24 from https://nodejs.org, or choose it with your version manager, and run the command again',
  }
  if (json) return JSON.stringify({ error: failure })
  return `error: ${failure.code}\n  what:  ${failure.what}\n  where: ${failure.where}\n  help:  ${failure.help}`
}
