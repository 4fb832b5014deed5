import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkFree, freePort } from '../free-port.ts'
import { ServerProcess } from '../server-process.ts'
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
  readonly #ended = Promise.withResolvers<string>()
  #process: ServerProcess | undefined
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
    const running = this.#process
    this.#process = undefined
    await running?.end()
  }

  /** Stops it in the middle of what it does, with its connections open, until it is killed. Not in Docker. */
  suspend(): void {
    this.#process?.suspend()
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
    const running = this.#run(file, folder)
    this.#process = running
    const { readyMs = 20_000 } = this.#options
    const name = `nats-server ${this.version} (${this.#binary.path})`
    await running.ready(name, readyMs, (withinMs) => this.#greets(withinMs))
    void running.gone.then(() => {
      if (this.#process === running) this.#ended.resolve(running.lastWords)
    })
  }

  #run(file: string, folder: string): ServerProcess {
    if (this.#binary.how !== 'docker')
      return new ServerProcess(this.#binary.path, ['-a', '127.0.0.1', '-p', String(this.port), '-c', file])
    const mounts = ['-v', `${file}:/nats.conf:ro`, '-v', `${folder}:/data`]
    const publish = ['-p', `127.0.0.1:${this.port}:4222`]
    const args = ['run', '--rm', '--init', ...publish, ...mounts, this.#binary.path, '-p', '4222', '-c', '/nats.conf']
    return new ServerProcess('docker', args)
  }

  /** A server greets each connection with a line that says whether JetStream is on. */
  #greets(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: this.port, timeout: Math.min(1_000, withinMs) })
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
