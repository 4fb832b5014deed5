import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { nextMessage } from './next-message.ts'
import type { Asked, ServerName, Told } from './server-child.ts'

/** A server of `@sluice/emulators` in a process of its own. */
export class ServerProcess implements Disposable {
  readonly port: number
  /** The server's own part of its start, in milliseconds. */
  readonly startMs: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number, startMs: number) {
    this.#child = child
    this.port = port
    this.startMs = startMs
  }

  /** Resolves when it listens. */
  static async start(which: ServerName): Promise<ServerProcess> {
    const file = new URL('server-child.ts', import.meta.url).pathname
    const execArgv = ['--conditions=@sluice/source', '--expose-gc', '--max-semi-space-size=8']
    const child = fork(file, [which], { execArgv })
    const { port, startMs } = await heard(child, 'started')
    return new ServerProcess(child, port, startMs)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Resident memory after a collection, in MiB. */
  async memory(): Promise<number> {
    return (await this.#ask({ what: 'memory' }, 'memory')).rssMiB
  }

  /** Every record that is put into the shard is refused, as over its quota, and no other shard's; `undefined`: none is. */
  async throttle(stream: string, shard: string | undefined): Promise<void> {
    await this.#ask({ what: 'throttle', stream, shard }, 'done')
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }

  #ask<W extends Told['what']>(asked: Asked, what: W): Promise<Extract<Told, { what: W }>> {
    const answer = heard(this.#child, what)
    this.#child.send(asked)
    return answer
  }
}

async function heard<W extends Told['what']>(child: ChildProcess, what: W): Promise<Extract<Told, { what: W }>> {
  const told = await nextMessage<Told>(child, 'the server')
  if (told.what !== what) throw new Error(`the server told "${told.what}" where "${what}" was asked`)
  return told as Extract<Told, { what: W }>
}
