import type { Broker, Endpoint, Harness, NativeError } from '@sluice/conformance'
import { LocalStackServer } from '@sluice/emulators'
import type { LocalStack } from '@sluice/emulators'
import { adapter } from '../src/index.ts'
import { startServers } from './server.ts'
import type { Servers } from './server.ts'

/** What the SDK and the services say, and what it must become. */
const nativeErrors: readonly NativeError[] = [
  {
    error: named('ResourceNotFoundException', 'Stream x under account 0 not found.'),
    code: 'not-found',
    retryable: false,
  },
  { error: named('ResourceInUseException', 'Stream x is not ACTIVE'), code: 'conflict', retryable: false },
  { error: named('ProvisionedThroughputExceededException', 'Rate exceeded'), code: 'throttled', retryable: true },
  { error: named('LimitExceededException', 'Rate exceeded'), code: 'throttled', retryable: true },
  { error: named('KMSThrottlingException', 'Rate exceeded'), code: 'throttled', retryable: true },
  { error: named('AccessDeniedException', 'not authorized'), code: 'permission-denied', retryable: false },
  { error: named('ExpiredTokenException', 'expired'), code: 'unauthenticated', retryable: false },
  { error: named('UnrecognizedClientException', 'invalid token'), code: 'unauthenticated', retryable: false },
  { error: named('CredentialsProviderError', 'none'), code: 'unauthenticated', retryable: false },
  { error: named('InvalidArgumentException', 'no such shard'), code: 'invalid-argument', retryable: false },
  { error: named('InternalFailure', 'internal'), code: 'unavailable', retryable: true },
  { error: named('TimeoutError', 'timed out'), code: 'timeout', retryable: true },
  {
    error: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    code: 'unavailable',
    retryable: true,
  },
]

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name })
}

const login = { accessKeyId: 'AKIASLUICETEST', secretAccessKey: 'hunter2-Geheim' }
/** Short times, so that what has to run out does so soon, and shards that are asked all the time. */
const quick = 'failoverMs=1500&pollMs=20&paceMs=0'
const impatient = `${quick}&requestTimeoutMs=3000&connectTimeoutMs=1000`

function httpOf({ host, port }: Endpoint): string {
  return `http://${host}:${port}`
}

/** What makes a harness one of enhanced fan-out, over HTTP/2 as at AWS; polling is tried over HTTP/1.1. */
export const fanOut: readonly [string, Partial<Harness>] = [
  '&mode=efo&http1=false',
  { name: 'kinesis, enhanced fan-out' },
]

/** Our own server, with signatures checked and quotas off, and DynamoDB; both end with the suite. */
export function kinesisHarness(more = '', changes: Partial<Harness> = {}): Harness {
  let servers: Promise<Servers> | undefined
  let address = ''
  const started = (): Promise<Servers> =>
    (servers ??= startServers({ quotas: false, resubscribeMs: 100, credentials: [login] }))
  const urlAt = (kinesis: Endpoint, dynamo: Endpoint, times: string): string =>
    `kinesis://${login.accessKeyId}:${login.secretAccessKey}@eu-west-1?endpoint=${httpOf(kinesis)}&dynamoEndpoint=${httpOf(dynamo)}&${times}${more}`
  const broker = async (): Promise<Broker> => {
    const { kinesis, dynamo } = await started()
    return {
      endpoint: kinesis.endpoint,
      urlAt: (endpoint) => urlAt(endpoint, dynamo.endpoint, impatient),
      patientUrlAt: (endpoint) => urlAt(endpoint, dynamo.endpoint, 'failoverMs=15000&pollMs=20&paceMs=0'),
      restart: () => kinesis.restart(),
      leaseStore: {
        endpoint: dynamo.endpoint,
        urlAt: (endpoint) => urlAt(kinesis.endpoint, endpoint, impatient),
      },
    }
  }
  const harness: Harness = {
    name: 'kinesis',
    url: async () => {
      const { kinesis, dynamo } = await started()
      address = urlAt(kinesis.endpoint, dynamo.endpoint, quick)
      return address
    },
    adapters: [adapter],
    canKill: true,
    canRestart: true,
    broker,
    nativeErrors,
    secret: login.secretAccessKey,
    // What is asked of a connection that was cut may have happened, and there is no deduplication.
    tuning: { failoverMs: 1_500, backlog: 20_000, patienceMs: 15_000, settleMs: 200 },
    close: async () => (await servers)?.stop(),
    ...changes,
  }
  return Object.defineProperty(harness, 'badCredentialsUrl', {
    enumerable: true,
    get: () => address.replace(login.secretAccessKey, 'wrong'),
  })
}

/** Slow, with room for few streams, and nobody's to kill. */
const elsewhere: Partial<Harness> = {
  adapters: [adapter],
  canKill: true,
  nativeErrors,
  tidy: true,
  tuning: { failoverMs: 3_000, backlog: 2_000, patienceMs: 30_000, settleMs: 500, caseMs: 120_000 },
}

/** LocalStack, started for the suite unless it runs already. */
export function localStackHarness(found: LocalStack, env: NodeJS.ProcessEnv): Harness {
  let server: Promise<LocalStackServer> | undefined
  const started = (): Promise<LocalStackServer> => (server ??= LocalStackServer.start(found, { env }))
  const place = async (): Promise<Endpoint> => {
    const { hostname: host, port } = new URL((await started()).url)
    return { host, port: Number(port) }
  }
  const urlAt = (at: Endpoint, times: string): string =>
    `kinesis://test:test@us-east-1?endpoint=${httpOf(at)}&pollMs=50&paceMs=0&${times}`
  return {
    ...elsewhere,
    name: 'kinesis, LocalStack',
    url: async () => urlAt(await place(), 'failoverMs=3000'),
    broker: async () => ({
      endpoint: await place(),
      urlAt: (at) => urlAt(at, 'failoverMs=3000&requestTimeoutMs=3000&connectTimeoutMs=1000'),
      patientUrlAt: (at) => urlAt(at, 'failoverMs=15000'),
    }),
    close: async () => (await server)?.close(),
  }
}

/** Whatever an address leads to: a real account, by the credentials of the environment. */
export function accountHarness(url: string): Harness {
  const quick = `${url}${url.includes('?') ? '&' : '?'}failoverMs=3000&pollMs=250`
  return { ...elsewhere, name: 'kinesis, account', url: quick }
}
