import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'

/** What a command that was run to its end said. */
export interface CommandResult {
  /** `undefined`: there is no such command, or a signal ended it. */
  readonly exitCode: number | undefined
  /** Everything it wrote, both streams, as it came. */
  readonly output: string
}

/** How a command is run. */
export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** After this long it is killed. */
  readonly timeoutMs: number
}

/** Runs a command without a shell and waits for its end. Never rejects. */
export function runCommand(file: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
  return new Promise((resolve) => {
    const { cwd, env, timeoutMs } = options
    const child = spawn(file, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...(cwd === undefined ? {} : { cwd }),
      ...(env === undefined ? {} : { env }),
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()))
    child.once('error', (error) => resolve({ exitCode: undefined, output: output + error.message }))
    child.once('close', (code) => resolve({ exitCode: code ?? undefined, output }))
  })
}

/** The path of a command on PATH; `undefined`: it is not there. */
export async function findOnPath(name: string, path: string | undefined): Promise<string | undefined> {
  for (const folder of (path ?? '').split(delimiter)) {
    if (folder !== '' && (await isExecutable(join(folder, name)))) return join(folder, name)
  }
  return undefined
}

/** Whether there is a file that we may run. */
export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** The last line that a command wrote: mostly the one that says what went wrong. */
export function lastLine(output: string): string {
  return output.trim().split('\n').at(-1)?.trim() ?? ''
}
