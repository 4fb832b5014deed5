import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findNats } from '@sluice/emulators'
import type { NatsBinary, NotFound } from '@sluice/emulators'

/** A server that runs, and how to end it. */
export interface RunningServer {
  /** `nats://127.0.0.1:PORT`. */
  readonly url: string
  readonly process: ChildProcess | undefined
  stop(): Promise<void>
  /** Kills it and starts it again, with its data, on the same port. */
  restart(): Promise<void>
}

/** How to start a server. */
export interface ServerOptions {
  /** Lines of a server configuration, besides port and JetStream. */
  readonly args?: readonly string[]
  readonly jetstream?: boolean
  readonly port?: number
  /** Where its streams are; kept when it stops. Default: a folder of its own, deleted in the end. */
  readonly folder?: string
}

/** Where a server for tests comes from. */
export type ServerSource =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'binary'; readonly path: string }
  | { readonly kind: 'none'; readonly reason: string }

/**
 * Looks at `SLUICE_NATS_URL`, and for a nats-server as `findNats` does, of the version that `SLUICE_NATS_VERSION` asks for.
 * Where `SLUICE_REQUIRE` names nats, that there is none is an error.
 */
export async function findServer(): Promise<ServerSource> {
  const { SLUICE_NATS_URL: url } = environment()
  if (url !== undefined && url !== '') return { kind: 'url', url }
  const found = await findBinary()
  return 'tried' in found ? { kind: 'none', reason: found.tried.join('; ') } : { kind: 'binary', path: found.path }
}

/** The binary alone, for tests that need a server of their own. */
export async function findBinary(): Promise<NatsBinary | NotFound> {
  const env = environment()
  const found = await findNats({ env })
  if ('tried' in found && env['SLUICE_REQUIRE']?.includes('nats') === true)
    throw new Error(`a nats-server is required here: ${found.tried.join('; ')}`)
  return found
}

/** Starts a server on a free port of this machine, with JetStream in a folder of its own. */
export async function startServer(binary: string, options: ServerOptions = {}): Promise<RunningServer> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'sluice-nats-')))
  const port = options.port ?? (await freePort())
  const jetstream = options.jetstream === false ? [] : ['-js', '-sd', folder]
  const child = spawn(binary, ['-a', '127.0.0.1', '-p', String(port), ...jetstream, ...(options.args ?? [])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const log: string[] = []
  child.stderr.on('data', (data: Buffer) => void log.push(data.toString()))
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await Promise.race([
    untilOpen(port),
    gone.then(() => Promise.reject(new Error(`nats-server ended: ${log.join('').slice(-2_000)}`))),
  ])
  let again: RunningServer | undefined
  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal)
    await gone
  }
  return {
    url: `nats://127.0.0.1:${port}`,
    process: child,
    stop: async () => {
      await (again === undefined ? end('SIGTERM') : again.stop())
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true })
    },
    restart: async () => {
      if (again !== undefined) return again.restart()
      await end('SIGKILL')
      again = await startServer(binary, { ...options, folder, port })
    },
  }
}

/** The server that runs, or one of our own. */
export async function obtainServer(
  source: Exclude<ServerSource, { kind: 'none' }>,
  options: ServerOptions = {},
): Promise<RunningServer> {
  if (source.kind === 'binary') return startServer(source.path, options)
  return { url: source.url, process: undefined, stop: () => Promise.resolve(), restart: notOurs }
}

function notOurs(): Promise<void> {
  return Promise.reject(new Error('this server is not ours to kill'))
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}

async function untilOpen(port: number): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await isOpen(port))) {
    if (performance.now() > end) throw new Error(`nats-server did not open port ${port} within 10 s`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Tests look at the environment; the adapter never does. */
function environment(): Readonly<Record<string, string | undefined>> {
  // oxlint-disable-next-line node/no-process-env -- where a server is found on this machine
  return process.env
}
