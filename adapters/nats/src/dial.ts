import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { connect, credsAuthenticator, nkeyAuthenticator, nkeys } from '@nats-io/transport-node'
import type { Authenticator, NatsConnection, NodeConnectionOptions, TlsOptions } from '@nats-io/transport-node'
import { StreamError } from '@sluice/driver'
import type { Login, NatsConfig } from './config.ts'
import type { SocketKeeper } from './socket-keeper.ts'

/** Connects and logs in. Rejects as the client does, or with `invalid-argument` for files that cannot be used. */
export async function dial(config: NatsConfig, sockets: SocketKeeper): Promise<NatsConnection> {
  const given: NodeConnectionOptions = {
    servers: [...config.servers],
    name: 'sluice',
    timeout: config.connectTimeoutMs,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    pingInterval: config.pingIntervalMs,
    noAsyncTraces: true,
    // Whether a refusal is final we tell ourselves: the client takes a log-in that was too slow for one.
    ignoreAuthErrorAbort: true,
    ...(config.inboxPrefix === undefined ? {} : { inboxPrefix: config.inboxPrefix }),
    ...(await loginOptions(config.login)),
  }
  const tls = config.tls === undefined ? {} : { tls: await tlsOptions(config.tls, config.servers) }
  return sockets.watch(() => connect({ ...given, ...tls }))
}

async function loginOptions(login: Login): Promise<Partial<NodeConnectionOptions>> {
  switch (login.kind) {
    case 'none':
      return {}
    case 'password':
      return { user: login.user, pass: login.password }
    case 'token':
      return { token: login.token }
    case 'creds':
      return { authenticator: await credentials(login.file) }
    case 'nkey':
      return { authenticator: await nkey(login.file) }
  }
}

async function credentials(file: string): Promise<Authenticator> {
  let text = await readOption('creds', file)
  if (text.includes('BEGIN NATS USER JWT') && /BEGIN USER NKEY SEED/.test(text)) {
    return (nonce) => {
      text = readAgain(file) ?? text
      return credsAuthenticator(new TextEncoder().encode(text))(nonce)
    }
  }
  throw new StreamError('invalid-argument', 'the file of ?creds holds no credentials; take one that nsc wrote')
}

/** Credentials may have been renewed since; while they are being written, the old ones do. */
function readAgain(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8')
    return text.includes('END USER NKEY SEED') ? text : undefined
  } catch {
    return undefined
  }
}

async function nkey(file: string): Promise<Authenticator> {
  const seed = new TextEncoder().encode((await readOption('nkey', file)).trim())
  try {
    nkeys.fromSeed(seed)
  } catch {
    // The cause could show the seed.
    throw new StreamError('invalid-argument', 'the file of ?nkey holds no seed; it begins with SU')
  }
  return nkeyAuthenticator(seed)
}

/** The client hands these to Node as they are, and of a server named by its IP address it checks the name `localhost`. */
interface NodeTlsOptions extends TlsOptions {
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined
}

async function tlsOptions(files: NonNullable<NatsConfig['tls']>, servers: readonly string[]): Promise<NodeTlsOptions> {
  const { ca, cert, key } = files
  const hosts = servers.map((server) => server.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''))
  const addresses = hosts.filter((host) => isIP(host) !== 0)
  return {
    checkServerIdentity: (host, certificate) => {
      if (host !== 'localhost' || hosts.includes(host) || addresses.length === 0) {
        return checkServerIdentity(host, certificate)
      }
      const problems = addresses.map((address) => checkServerIdentity(address, certificate))
      return problems.includes(undefined) ? undefined : problems[0]
    },
    ...(ca === undefined ? {} : { ca: await readOption('ca', ca) }),
    ...(cert === undefined ? {} : { cert: await readOption('cert', cert) }),
    ...(key === undefined ? {} : { key: await readOption('key', key) }),
  }
}

async function readOption(name: string, file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    // Not its name: somebody may have written there what belongs into the file.
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'is not there' : 'cannot be read'
    throw new StreamError('invalid-argument', `the file of ?${name} ${why}; check the path and its rights`, { cause })
  }
}
