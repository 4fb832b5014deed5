import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StreamError } from '@sluice/driver'
import { freePort } from '../free-port.ts'
import type { NatsBinary } from './find.ts'

/** How a server is started. */
export interface NatsServerOptions {
  /** Whether JetStream is on. Default true. */
  readonly jetStream?: boolean
  /** Lines of its configuration file besides (users, TLS, limits). Default none. */
  readonly config?: string
  /** Where it keeps its data. Default: a temporary folder that goes with it. */
  readonly folder?: string
  /** Where it listens on 127.0.0.1. Default: a free port. */
  readonly port?: number
  /** How long it may take to be ready, in milliseconds. Default 20 000. */
  readonly readyMs?: number
}

/** A nats-server of ours on a free port of 127.0.0.1. It ends with `close`, and with this process. */
export class NatsServer implements AsyncDisposable {
  readonly version: string
  readonly port: number
  readonly #binary: NatsBinary
  readonly #options: NatsServerOptions
  readonly #folder: string
  readonly #onExit = (): void => void this.#child?.kill('SIGKILL')
  readonly #ended = Promise.withResolvers<string>()
  #child: ChildProcess | undefined
  #said = ''
  #closed = false

  private constructor(binary: NatsBinary, options: NatsServerOptions, folder: string, port: number) {
    this.version = binary.version
    this.port = port
    this.#binary = binary
    this.#options = options
    this.#folder = folder
  }

  /**
   * Starts one and resolves when it answers. Rejects with `unavailable` and its last words when it does not, with `conflict` when
   * something listens on the port that was asked for.
   */
  static async start(binary: NatsBinary, options: NatsServerOptions = {}): Promise<NatsServer> {
    if (options.port !== undefined) await checkFree(options.port)
    const folder = await mkdtemp(join(tmpdir(), 'sluice-nats-'))
    const server = new NatsServer(binary, options, folder, options.port ?? (await freePort()))
    process.once('exit', server.#onExit)
    try {
      await server.#launch()
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** `nats://127.0.0.1:<port>` */
  get url(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  /** Resolves, with its last words, when it ends by itself: not by `kill`, `restart` or `close`. */
  get ended(): Promise<string> {
    return this.#ended.promise
  }

  /** Sends SIGKILL and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  /** Stops it in the middle of what it does, with its connections open, until it is killed. Not in Docker. */
  suspend(): void {
    this.#child?.kill('SIGSTOP')
  }

  /** Kills it and starts it again, with its data, on the same port. Resolves when it answers. */
  async restart(): Promise<void> {
    await this.kill()
    await this.#launch()
  }

  /** Ends it; its temporary folder goes. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    process.removeListener('exit', this.#onExit)
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #launch(): Promise<void> {
    const { config = '', folder = join(this.#folder, 'data'), jetStream = true } = this.#options
    const file = join(this.#folder, 'nats.conf')
    const data = this.#binary.how === 'docker' ? '/data' : folder
    await writeFile(file, `${jetStream ? `jetstream { store_dir: ${JSON.stringify(data)} }\n` : ''}${config}\n`)
    this.#said = ''
    const child = this.#spawn(file, folder)
    this.#child = child
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text: Buffer) => (this.#said = (this.#said + text.toString()).slice(-4_000)))
    child.once('error', (error) => (this.#said += error.message))
    await this.#ready(child)
    child.once('exit', () => {
      if (this.#child === child) this.#ended.resolve(this.#lastWords())
    })
  }

  #lastWords(): string {
    return this.#said.trim().split('\n').slice(-3).join(' | ')
  }

  #spawn(file: string, folder: string): ChildProcess {
    const stdio: ['ignore', 'pipe', 'pipe'] = ['ignore', 'pipe', 'pipe']
    if (this.#binary.how !== 'docker')
      return spawn(this.#binary.path, ['-a', '127.0.0.1', '-p', String(this.port), '-c', file], { stdio })
    const mounts = ['-v', `${file}:/nats.conf:ro`, '-v', `${folder}:/data`]
    const publish = ['-p', `127.0.0.1:${this.port}:4222`]
    const args = ['run', '--rm', '--init', ...publish, ...mounts, this.#binary.path, '-p', '4222', '-c', '/nats.conf']
    return spawn('docker', args, { stdio })
  }

  async #ready(child: ChildProcess): Promise<void> {
    const { readyMs = 20_000 } = this.#options
    const end = performance.now() + readyMs
    while (performance.now() < end && child.exitCode === null && child.signalCode === null) {
      if (await this.#greets(Math.min(1_000, end - performance.now()))) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const ended = child.exitCode ?? child.signalCode
    throw new StreamError(
      'unavailable',
      `nats-server ${this.version} (${this.#binary.path}) ${ended === null ? `was not ready in ${readyMs} ms` : `ended with ${ended}`}; it said: ${this.#lastWords()}`,
    )
  }

  /** A server greets each connection with a line that says whether JetStream is on. */
  #greets(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: this.port, timeout: withinMs })
      let text = ''
      const done = (ready: boolean): void => {
        socket.destroy()
        resolve(ready)
      }
      socket.on('data', (data) => {
        text += data.toString()
        if (!text.includes('\r\n')) return
        done(text.startsWith('INFO ') && (this.#options.jetStream === false || /"jetstream":\s*true/.test(text)))
      })
      socket.once('error', () => done(false))
      socket.once('timeout', () => done(false))
      socket.once('close', () => resolve(false))
    })
  }
}

/** What listens there already would be taken for the server. */
function checkFree(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (cause) => {
      const message = `cannot listen on port ${port} of 127.0.0.1: something else listens there; choose another, or none for a free one`
      reject(new StreamError('conflict', message, { cause }))
    })
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve()))
  })
}
