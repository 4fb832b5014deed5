import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

const root = join(import.meta.dirname, '../../..')
const main = join(root, 'packages/cli/src/main.ts')

/** How a run of the command ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A folder to work in, with its own backend; packages resolve as in the repository. Removed when disposed of. */
export class Workplace implements Disposable {
  readonly path: string

  constructor(files: Readonly<Record<string, string>> = {}) {
    this.path = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
    symlinkSync(join(root, 'node_modules'), join(this.path, 'node_modules'))
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.path, name)), { recursive: true })
      writeFileSync(join(this.path, name), text)
    }
  }

  /** Runs the command here and waits for its end. */
  sluice(
    args: readonly string[],
    options: { readonly input?: string; readonly env?: Record<string, string> } = {},
  ): Promise<Ended> {
    const running = this.start(args, options.env)
    running.child.stdin.end(options.input ?? '')
    return running.ended
  }

  /** Starts the command here. */
  start(args: readonly string[], env: Record<string, string> = {}): Running {
    const child = spawn(process.execPath, ['--conditions=@sluice/source', main, ...args], {
      cwd: this.path,
      env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], NO_COLOR: '1', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    return new Running(child)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** A running command. */
export class Running {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly ended: Promise<Ended>
  #stdout = ''
  #stderr = ''
  readonly #waiting = new Set<() => void>()

  constructor(child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.child = child
    child.stdin.on('error', () => undefined)
    child.stdout.on('data', (data: Buffer) => this.#heard((this.#stdout += data.toString())))
    child.stderr.on('data', (data: Buffer) => this.#heard((this.#stderr += data.toString())))
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => {
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr })
        this.#heard('')
      })
    })
  }

  /** What it has printed so far. */
  get stdout(): string {
    return this.#stdout
  }

  /** Resolves once the command has printed it, on stdout or stderr. */
  async printed(text: string): Promise<void> {
    while (!`${this.#stdout}${this.#stderr}`.includes(text)) {
      if (this.child.exitCode !== null) throw new Error(`ended without "${text}": ${this.#stdout}${this.#stderr}`)
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  interrupt(): void {
    this.child.kill('SIGINT')
  }

  #heard(_text: string): void {
    for (const resume of this.#waiting) resume()
    this.#waiting.clear()
  }
}
