import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Endpoint } from '@sluice/conformance'
import type { KinesisServerOptions } from '@sluice/emulators'

/** A server of ours in a process of its own. */
export class ServerProcess {
  readonly port: number
  readonly #kind: string
  readonly #options: object
  #child: ChildProcess

  private constructor(kind: string, options: object, child: ChildProcess, port: number) {
    this.port = port
    this.#kind = kind
    this.#options = options
    this.#child = child
  }

  static async start(kind: 'kinesis' | 'dynamodb', options: object = {}): Promise<ServerProcess> {
    const { child, port } = await launch(kind, options)
    return new ServerProcess(kind, options, child, port)
  }

  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: this.port }
  }

  /** SIGKILL, and then the same again on the same port. */
  async restart(): Promise<void> {
    await this.stop()
    this.#child = (await launch(this.#kind, { ...this.#options, port: this.port })).child
  }

  /** Kills it. */
  async stop(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }
}

async function launch(kind: string, options: object): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const script = fileURLToPath(new URL('serve.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=@sluice/source', script, kind, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown]
  const port = Number(String(line))
  if (!Number.isSafeInteger(port) || port < 1) throw new Error(`the ${kind} server did not start: ${String(line)}`)
  return { child, port }
}

/** Kinesis that keeps its records in a folder, and DynamoDB. */
export interface Servers {
  readonly kinesis: ServerProcess
  readonly dynamo: ServerProcess
  stop(): Promise<void>
}

/** Starts both. States change within a moment. */
export async function startServers(options: KinesisServerOptions = {}): Promise<Servers> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-kinesis-'))
  const [kinesis, dynamo] = await Promise.all([
    ServerProcess.start('kinesis', { stateMs: 2, shardLimit: 100_000, folder, ...options }),
    ServerProcess.start('dynamodb'),
  ])
  const stop = async (): Promise<void> => {
    await Promise.all([kinesis.stop(), dynamo.stop()])
    await rm(folder, { recursive: true, force: true })
  }
  return { kinesis, dynamo, stop }
}
