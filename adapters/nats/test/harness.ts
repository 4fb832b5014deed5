import type { Broker, Harness, NativeError } from '@sluice/conformance'
import type { TopicOrder } from '@sluice/driver'
import type { NatsBinary } from '@sluice/emulators'
import { adapter } from '../src/index.ts'
import { Cluster } from './cluster.ts'
import { obtainServer } from './server.ts'
import type { RunningServer, ServerSource } from './server.ts'

/** What the client and the server say, and what it must become. */
const nativeErrors: readonly NativeError[] = [
  { error: named('AuthorizationError', 'Authorization Violation'), code: 'unauthenticated', retryable: false },
  { error: named('PermissionViolationError', 'Permissions Violation'), code: 'permission-denied', retryable: false },
  { error: named('TimeoutError', 'timeout'), code: 'timeout', retryable: true },
  { error: named('ConnectionError', 'connection refused'), code: 'unavailable', retryable: true },
  { error: api(10059, 404, 'stream not found'), code: 'not-found', retryable: false },
  { error: api(10077, 503, 'maximum bytes exceeded'), code: 'throttled', retryable: true },
  { error: api(10167, 429, 'too many requests'), code: 'throttled', retryable: true },
  { error: api(10054, 400, 'message size exceeds maximum allowed'), code: 'too-large', retryable: false },
  { error: api(10039, 503, 'jetstream not enabled for account'), code: 'unsupported', retryable: false },
  { error: api(10008, 503, 'JetStream system temporarily unavailable'), code: 'unavailable', retryable: true },
  { error: api(10071, 400, 'wrong last sequence: 7'), code: 'conflict', retryable: false },
]

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}

function api(code: number, status: number, message: string): Error {
  return Object.assign(named('JetStreamApiError', message), { code, status })
}

/** Short times, so that what has to run out does so soon. */
const quick = 'failoverMs=1500&leaseMs=1500'

const password = 'hunter2-Geheim'
const logins = `authorization { user: sluice, password: "${password}" }`

/** A server there is, or one that is started for the suite, with a password, and stopped in the end. */
export function natsHarness(source: Exclude<ServerSource, { kind: 'none' }>, order: TopicOrder): Harness {
  let server: Promise<RunningServer> | undefined
  let address = ''
  // Ours to kill, and to be reached by another way.
  const broker = async (): Promise<Broker> => {
    server ??= obtainServer(source, logins)
    const { url, own } = await server
    if (own === undefined) throw new Error('this server is not ours to kill')
    return {
      endpoint: { host: '127.0.0.1', port: Number(new URL(url).port) },
      urlAt: ({ host, port }) => `nats://sluice:${password}@${host}:${port}/?${quick}&pingIntervalMs=1000`,
      patientUrlAt: ({ host, port }) => `nats://sluice:${password}@${host}:${port}/?failoverMs=15000`,
      restart: () => own.restart(),
    }
  }
  // The port is known once the server runs.
  const credentials = {
    secret: password,
    get badCredentialsUrl(): string {
      return address.replace(password, 'wrong')
    },
  }
  const harness: Harness = {
    name: `nats, order ${order}`,
    url: async () => {
      server ??= obtainServer(source, logins)
      const { url, own } = await server
      address = own === undefined ? url : url.replace('//', `//sluice:${password}@`)
      return `${address}${url.includes('?') ? '&' : '/?'}${quick}`
    },
    adapters: [adapter],
    topicSpec: { order },
    canKill: true,
    // Up to 2.9 a server may hand out an acknowledged record again when a member goes: see the README.
    ...(order === 'none' && source.kind === 'binary' && isOld(source.binary) ? { strayRepeats: 3 } : {}),
    nativeErrors,
    tuning: { failoverMs: 1_500, backlog: 50_000, patienceMs: 10_000, settleMs: 200 },
    close: async () => (await server)?.stop(),
  }
  return source.kind === 'binary'
    ? Object.defineProperties({ ...harness, broker, canRestart: true }, Object.getOwnPropertyDescriptors(credentials))
    : harness
}

/** A cluster of three servers that is started for the suite, with three replicas of everything. Faults have tests of their own. */
export function natsClusterHarness(binary: NatsBinary, order: TopicOrder): Harness {
  let cluster: Promise<Cluster> | undefined
  const start = async (): Promise<Cluster> => {
    const started = await Cluster.start(binary)
    await started.ready()
    return started
  }
  return {
    name: `nats cluster, order ${order}`,
    url: async () => {
      cluster ??= start()
      return `${(await cluster).url}/?${quick}&replicas=3`
    },
    adapters: [adapter],
    topicSpec: { order },
    canKill: true,
    nativeErrors,
    tuning: { failoverMs: 1_500, backlog: 50_000, patienceMs: 20_000, settleMs: 200 },
    close: async () => (await cluster)?.close(),
  }
}

/** Up to 2.9. */
export function isOld({ version }: NatsBinary): boolean {
  return /^2\.[0-9]\./.test(version)
}
