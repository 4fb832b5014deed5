import { parseArgs } from 'node:util'
import { startServers } from '../adapters/kinesis/test/server.ts'
import { planSoak } from '../conformance/src/crash/plan.ts'
import { runRounds } from '../conformance/src/crash/run.ts'
import type { Soak } from '../conformance/src/crash/run.ts'
import { ProxySaboteur } from '../conformance/src/faults/proxy-saboteur.ts'
import { TcpProxy } from '../conformance/src/faults/tcp-proxy.ts'
import { findNats, NatsServer } from '../packages/emulators/src/index.ts'

/**
 * `npm run soak -- --backend local|nats|kinesis --minutes N [--seed S] [--version V]`: producers and three members of a group, at
 * work in processes that come, go and are killed, on a backend that is killed and cut off too. Whoever judges knows every
 * acknowledged send. Exits non-zero when a record was lost, out of order, or repeated more often than the bound allows.
 */
const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'local' },
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string' },
    version: { type: 'string' },
  },
})

const open: AsyncDisposable[] = []
let leave = (): void => undefined
process.on('exit', () => leave())
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

/** The backend's address, and what makes it fail. */
type Prepared = { backend: string | undefined } & Pick<Soak, 'childAddress' | 'saboteur'>

const backends: Readonly<Record<string, () => Promise<Prepared>>> = {
  local: () => Promise.resolve({ backend: undefined, childAddress: undefined, saboteur: undefined }),
  nats,
  kinesis,
}

async function nats(): Promise<Prepared> {
  const found = await findNats({
    env: process.env,
    provide: true,
    ...(values.version === undefined ? {} : { version: values.version }),
  })
  if ('tried' in found) throw new Error(`no nats-server: ${found.tried.join('; ')}`)
  const server = await NatsServer.start(found)
  const proxy = await TcpProxy.start({ host: '127.0.0.1', port: server.port })
  open.push(proxy, server)
  console.log(`nats-server ${found.version} (${found.how})`)
  const childAddress = `nats://127.0.0.1:${proxy.endpoint.port}?failoverMs=3000&pingIntervalMs=1000`
  return { backend: server.url, childAddress, saboteur: new ProxySaboteur(proxy, () => server.restart(), true) }
}

/** Our own server, with its records in a folder; the leases stand beside it, and nothing happens to them. */
async function kinesis(): Promise<Prepared> {
  const servers = await startServers({ quotas: false })
  const proxy = await TcpProxy.start(servers.kinesis.endpoint)
  open.push(proxy, { [Symbol.asyncDispose]: () => servers.stop() })
  const addressAt = (port: number): string =>
    `kinesis://test:test@eu-west-1?endpoint=http://127.0.0.1:${port}&dynamoEndpoint=http://127.0.0.1:${servers.dynamo.port}&pollMs=100&paceMs=20&failoverMs=3000&requestTimeoutMs=3000&connectTimeoutMs=1000`
  const childAddress = addressAt(proxy.endpoint.port)
  const saboteur = new ProxySaboteur(proxy, () => servers.kinesis.restart())
  return { backend: addressAt(servers.kinesis.port), childAddress, saboteur }
}

const prepare = backends[values.backend]
if (prepare === undefined)
  throw new Error(`--backend ${values.backend} is not known; known are ${Object.keys(backends).join(', ')}`)
const { backend, childAddress, saboteur } = await prepare()
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes} is no number of minutes`)
const failed = await runRounds(
  {
    rounds: Infinity,
    seed: values.seed === undefined ? Date.now() % 4_294_967_296 : Number(values.seed),
    backend,
    mode: 'group',
    keep: false,
    bug: undefined,
  },
  {
    print: (line) => console.log(line),
    environment: process.env,
    onStart: (clean) => (leave = clean),
    soak: { endMs: performance.now() + minutes * 60_000, planOf: planSoak, childAddress, saboteur },
  },
)
for (const each of open) await each[Symbol.asyncDispose]()
process.exit(failed === 0 ? 0 : 1)
