import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { checkFree, freePort } from '../free-port.ts'
import type { SearchOptions } from '../search.ts'
import { ServerProcess } from '../server-process.ts'
import type { LocalStack } from './find.ts'
import { answersKinesis, askHealth } from './health.ts'
import { kinesisMockVersion } from './install.ts'
import { loopbackOnly } from './loopback.ts'

const services = ['kinesis', 'dynamodb']

/** How a {@link LocalStackServer} is started. */
export interface LocalStackServerOptions {
  /** `PATH` names the commands that it needs: `docker`, or what LocalStack itself calls. */
  readonly env: SearchOptions['env']
  /** Where it listens on 127.0.0.1. Default: a free port. */
  readonly port?: number
  /** How long it may take to be ready, in milliseconds. Default 60 000. */
  readonly readyMs?: number
}

/**
 * A LocalStack with Kinesis and DynamoDB on a free port of 127.0.0.1, with nothing in it. It ends with `close`, and with this
 * process, with every process that it has started. One that was `given` is used as it is, and goes on.
 */
export class LocalStackServer implements AsyncDisposable {
  readonly version: string
  /** The endpoint for an SDK. */
  readonly url: string
  readonly #own: Own | undefined
  readonly #ended = Promise.withResolvers<string>()
  #closed = false

  private constructor(version: string, url: string, own?: Own) {
    this.version = version
    this.url = url
    this.#own = own
    void own?.running.gone.then(() => {
      if (!this.#closed) this.#ended.resolve(own.running.lastWords)
    })
  }

  /**
   * Starts one and resolves when Kinesis and DynamoDB answer, after about six seconds. Rejects with `unavailable` and its last words
   * when they do not, with `conflict` when something listens on the port that was asked for.
   */
  static async start(found: LocalStack, options: LocalStackServerOptions): Promise<LocalStackServer> {
    if (found.how === 'given') return new LocalStackServer(found.version, found.path)
    const { env, readyMs = 60_000 } = options
    if (options.port !== undefined) await checkFree(options.port)
    const port = options.port ?? (await freePort())
    const folder = await mkdtemp(join(tmpdir(), 'sluice-localstack-'))
    const running = found.how === 'docker' ? inDocker(found, port, env) : await onHost(found, port, env, folder)
    const server = new LocalStackServer(found.version, `http://127.0.0.1:${port}`, { running, folder })
    try {
      await running.ready(`LocalStack ${found.version} (${found.path})`, readyMs, (ms) => isReady(server.url, ms))
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** Resolves, with its last words, when it ends by itself. */
  get ended(): Promise<string> {
    return this.#ended.promise
  }

  /** Ends it with all that it has started; its data goes. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed || this.#own === undefined) return
    this.#closed = true
    await this.#own.running.end()
    await rm(this.#own.folder, { recursive: true, force: true })
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** One that we have started, and the folder that goes with it. */
interface Own {
  readonly running: ServerProcess
  readonly folder: string
}

async function isReady(url: string, withinMs: number): Promise<boolean> {
  const health = await askHealth(url, Math.min(1_000, withinMs))
  return services.every((service) => health?.services[service] === 'running') && answersKinesis(url, withinMs)
}

function inDocker(found: LocalStack, port: number, env: SearchOptions['env']): ServerProcess {
  const settings = Object.entries(everywhere).flatMap(([name, value]) => ['--env', `${name}=${value}`])
  const publish = ['--publish', `127.0.0.1:${port}:4566`]
  return new ServerProcess('docker', ['run', '--rm', ...publish, ...settings, found.path], { env, end: 'ask' })
}

/** Without Docker: what LocalStack takes for its file system is a folder, with what was installed where it looks for it. */
async function onHost(
  found: LocalStack,
  port: number,
  env: SearchOptions['env'],
  folder: string,
): Promise<ServerProcess> {
  const data = join(folder, 'var', 'lib', 'localstack')
  const temporary = join(folder, 'tmp')
  await Promise.all([mkdir(data, { recursive: true }), mkdir(temporary)])
  await symlink(join(found.path, 'lib'), join(data, 'lib'))
  const settings = {
    ...everywhere,
    PATH: [dirname(process.execPath), env['PATH']].join(delimiter),
    HOME: folder,
    TMPDIR: temporary,
    FILESYSTEM_ROOT: folder,
    OVERRIDE_IN_DOCKER: '0',
    GATEWAY_LISTEN: `127.0.0.1:${port}`,
    DNS_ADDRESS: '0',
    KINESIS_MOCK_VERSION: kinesisMockVersion,
    NODE_OPTIONS: `--import=${loopbackOnly}`,
  }
  const python = join(found.path, 'venv', 'bin', 'python')
  return new ServerProcess(python, ['-I', '-c', startScript], { env: settings, end: 'kill-group' })
}

const everywhere: Readonly<Record<string, string>> = {
  SERVICES: services.join(),
  EAGER_SERVICE_LOADING: '1',
  DISABLE_EVENTS: '1',
  SKIP_SSL_CERT_DOWNLOAD: '1',
  DYNAMODB_IN_MEMORY: '1',
  KINESIS_LATENCY: '50',
  KINESIS_SHARD_LIMIT: '500',
}

/**
 * Ends everything when our end of its standard input closes, keeps what it starts in its process group, and makes it listen
 * on loopback alone, which it has no setting for that it would follow.
 */
const startScript = `
import functools, os, signal, subprocess, sys, threading
from twisted.internet import endpoints

def end_with_parent():
    sys.stdin.buffer.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)

def start_in_group(self, *args, start_new_session=False, **options):
    start(self, *args, **options)

threading.Thread(target=end_with_parent, daemon=True).start()
start, subprocess.Popen.__init__ = subprocess.Popen.__init__, start_in_group
endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")

from localstack.runtime.main import main
main()
`
