import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { StreamError } from '@sluice/driver'

/** How a {@link ServerProcess} is run. */
export interface ServerProcessOptions {
  /** Default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * How it is ended: `kill` it, `kill-group`, it and every process that it started, or `ask` it to end. Default `kill`. The
   * standard input of a group stays open as long as this process lives, so that it can end when this one is killed.
   */
  readonly end?: 'kill' | 'kill-group' | 'ask'
}

/** How long processes that were killed may take to vanish, in milliseconds: those that nobody asks after never do. */
const vanishMs = 2_000

/** A program of ours that serves until it is ended, and ends with this process. */
export class ServerProcess {
  /** Resolves when it, and its group, has ended, or could not be started. */
  readonly gone: Promise<void>
  readonly #child: ChildProcess
  readonly #how: 'kill' | 'kill-group' | 'ask'
  #said = ''

  constructor(file: string, args: readonly string[], { env, end = 'kill' }: ServerProcessOptions = {}) {
    this.#how = end
    const child = spawn(file, args, {
      stdio: [end === 'kill-group' ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      detached: end !== 'kill',
      ...(env === undefined ? {} : { env }),
    })
    this.#child = child
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text: Buffer) => (this.#said = (this.#said + text.toString()).slice(-4_000)))
    child.once('error', (error) => (this.#said += error.message))
    const onExit = (): void => this.#end()
    process.once('exit', onExit)
    const over = new Promise<void>((resolve) => {
      for (const event of ['exit', 'error']) child.once(event, () => resolve())
    })
    this.gone = over.then(async () => {
      process.removeListener('exit', onExit)
      await this.#groupGone()
    })
  }

  /** The last of what it wrote, in one line. */
  get lastWords(): string {
    return this.#said.trim().split('\n').slice(-3).join(' | ')
  }

  /** With what it ended; `null`: it runs. */
  get over(): number | string | null {
    return this.#child.exitCode ?? this.#child.signalCode
  }

  /**
   * Resolves when `answers` says so, which is asked again and again, and told how many milliseconds are left. Rejects with
   * `unavailable` and its last words when that takes longer than `readyMs`, or it ends before.
   */
  async ready(name: string, readyMs: number, answers: (withinMs: number) => Promise<boolean>): Promise<void> {
    const began = performance.now()
    for (let ms = 0; ms < readyMs && this.over === null; ms = performance.now() - began) {
      if (await answers(Math.ceil(readyMs - ms))) return
      // What takes long to start is not kept from it by being asked all the time.
      await new Promise((resolve) => setTimeout(resolve, Math.min(100, 10 + ms / 10)))
    }
    const why = this.over === null ? `was not ready in ${readyMs} ms` : `ended with ${this.over}`
    throw new StreamError('unavailable', `${name} ${why}; it said: ${this.lastWords}`)
  }

  /** Stops it in the middle of what it does, until it is ended. */
  suspend(): void {
    this.#child.kill('SIGSTOP')
  }

  /** Ends it and waits until it is gone. Idempotent. */
  async end(): Promise<void> {
    this.#end()
    await this.gone
  }

  #end(): void {
    if (this.over !== null) return
    if (this.#how === 'kill-group') this.#killGroup()
    else this.#child.kill(this.#how === 'ask' ? 'SIGTERM' : 'SIGKILL')
  }

  /** What it leaves behind when it ends by itself ends too. */
  async #groupGone(): Promise<void> {
    if (this.#how !== 'kill-group') return
    const end = performance.now() + vanishMs
    while (this.#killGroup() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 10))
  }

  /** Says whether there was anybody in the group. */
  #killGroup(): boolean {
    const { pid } = this.#child
    try {
      return pid !== undefined && process.kill(-pid, 'SIGKILL')
    } catch {
      return false
    }
  }
}
