import { AddressOptions } from '@sluice/driver'
import type { BackendUrl, OptionDescription } from '@sluice/driver'

/** Every option of `nats:` addresses. */
export const optionDescriptions: readonly OptionDescription[] = [
  { name: 'token', default: '', meaning: 'A token to log in with' },
  { name: 'creds', default: '', meaning: 'A credentials file (JWT and seed), as `nsc` writes it' },
  { name: 'nkey', default: '', meaning: 'A file with the seed of an nkey' },
  { name: 'tls', default: 'false', meaning: '`true`: only over TLS. Implied by `ca`, `cert` and `key`' },
  { name: 'ca', default: '', meaning: 'A file with the certificates to trust instead of those of the system' },
  { name: 'cert', default: '', meaning: 'A file with the client certificate, for mutual TLS; with `key`' },
  { name: 'key', default: '', meaning: "A file with the client certificate's key" },
  { name: 'domain', default: '', meaning: 'The JetStream domain' },
  {
    name: 'apiPrefix',
    default: '$JS.API',
    meaning: 'The prefix of the JetStream API, where it is imported from another account',
  },
  { name: 'inboxPrefix', default: '_INBOX', meaning: 'The prefix of the subjects that answers come to' },
  { name: 'bucket', default: 'sluice', meaning: 'The key-value bucket that keeps topics, groups and leases' },
  { name: 'replicas', default: '1', meaning: 'Copies of the streams and of the bucket that are made here' },
  {
    name: 'storage',
    default: 'file',
    meaning: '`file` or `memory`: where streams that are made here keep their records',
  },
  {
    name: 'partitions',
    default: '4',
    meaning: 'Partitions of a key-ordered topic that is made without saying how many',
  },
  { name: 'dedupMs', default: '120000', meaning: 'How long a stream made here remembers the ids of records' },
  { name: 'failoverMs', default: '10000', meaning: 'A silent member loses its partitions after this time' },
  {
    name: 'leaseMs',
    default: '30000',
    meaning: 'How long a record of an `order: none` topic stays with one consumer (`ack_wait`)',
  },
  { name: 'connectTimeoutMs', default: '5000', meaning: 'Gives up dialling one server after this time' },
  { name: 'requestTimeoutMs', default: '5000', meaning: 'Gives up waiting for an answer of JetStream after this time' },
  {
    name: 'pingIntervalMs',
    default: '5000',
    meaning: 'A connection is given up when two pings in a row, so far apart, are not answered',
  },
]

/** How to log in. Secrets are in here, and nowhere else. */
export type Login =
  | { readonly kind: 'none' }
  | { readonly kind: 'password'; readonly user: string; readonly password: string }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'creds'; readonly file: string }
  | { readonly kind: 'nkey'; readonly file: string }

/** What TLS is made with; `undefined` where an address says nothing of it: then the server decides. */
export interface TlsFiles {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

/** What an address of this adapter says. */
export interface NatsConfig {
  /** `host:port`, at least one. */
  readonly servers: readonly string[]
  readonly login: Login
  readonly tls: TlsFiles | undefined
  readonly apiPrefix: string
  readonly inboxPrefix: string | undefined
  readonly bucket: string
  readonly replicas: number
  readonly storage: 'file' | 'memory'
  readonly partitions: number
  readonly dedupMs: number
  readonly failoverMs: number
  readonly leaseMs: number
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly pingIntervalMs: number
  /** The address for messages. */
  readonly safe: string
}

/** Reads an address. Throws `invalid-argument` for an unknown option, naming the nearest known one, and for a bad value. Pure. */
export function parseConfig(url: BackendUrl): NatsConfig {
  const options = new AddressOptions(url, optionDescriptions)
  const whole = (name: string, fallback: number, min: number, max: number): number =>
    options.whole(name, min, max) ?? fallback
  return {
    servers: servers(url, options),
    login: login(url, options),
    tls: tls(url, options),
    apiPrefix: apiPrefix(options),
    inboxPrefix: subject(options, 'inboxPrefix'),
    bucket: options.matching('bucket', /^[-\w]+$/, 'letters, digits, "-" and "_"') ?? 'sluice',
    replicas: whole('replicas', 1, 1, 5),
    storage: options.choice('storage', ['file', 'memory']) ?? 'file',
    partitions: whole('partitions', 4, 1, 1024),
    dedupMs: whole('dedupMs', 120_000, 100, 86_400_000),
    failoverMs: whole('failoverMs', 10_000, 100, 600_000),
    leaseMs: whole('leaseMs', 30_000, 100, 86_400_000),
    connectTimeoutMs: whole('connectTimeoutMs', 5_000, 10, 600_000),
    requestTimeoutMs: whole('requestTimeoutMs', 5_000, 10, 600_000),
    pingIntervalMs: whole('pingIntervalMs', 5_000, 100, 600_000),
    safe: url.safe,
  }
}

function servers(url: BackendUrl, options: AddressOptions): readonly string[] {
  const [where = '', ...rest] = url.path.split('/')
  if (rest.join('') !== '')
    throw options.invalid('has a path; NATS has none: write nats://host:4222 and options behind "?"')
  const hosts = where.split(',').map((host) => host.trim())
  return hosts.map((host) => {
    if (!/^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i.test(host)) {
      throw options.invalid('names no server; write nats://host:4222, several hosts with commas')
    }
    const port = /:(\d+)$/.exec(host)?.[1]
    if (Number(port ?? 1) > 65_535 || Number(port ?? 1) === 0)
      throw options.invalid(`has port ${port}; write one from 1 to 65535`)
    return port === undefined ? `${host}:4222` : host
  })
}

function login(url: BackendUrl, options: AddressOptions): Login {
  const ways: Login[] = []
  const userInfo = /^[^:]*:\/\/([^/?#]*)@/.exec(url.href)?.[1]
  if (userInfo !== undefined) ways.push(loginOf(options, userInfo))
  const { token, creds, nkey } = url.options
  if (token !== undefined && token !== '') ways.push({ kind: 'token', token })
  if (creds !== undefined && creds !== '') ways.push({ kind: 'creds', file: creds })
  if (nkey !== undefined && nkey !== '') ways.push({ kind: 'nkey', file: nkey })
  const [only, another] = ways
  if (another !== undefined)
    throw options.invalid(`logs in by ${ways.map((way) => way.kind).join(' and ')}; choose one`)
  return only ?? { kind: 'none' }
}

/** `user:password@`, or `token@` as other NATS clients have it. */
function loginOf(options: AddressOptions, userInfo: string): Login {
  const at = userInfo.indexOf(':')
  try {
    if (at < 0) return { kind: 'token', token: decodeURIComponent(userInfo) }
    return {
      kind: 'password',
      user: decodeURIComponent(userInfo.slice(0, at)),
      password: decodeURIComponent(userInfo.slice(at + 1)),
    }
  } catch {
    // The cause would show what could not be decoded.
    throw options.invalid('has a broken %-escape before the "@"')
  }
}

function tls(url: BackendUrl, options: AddressOptions): TlsFiles | undefined {
  const wanted = options.choice('tls', ['true', 'false'])
  const { ca, cert, key } = url.options
  if ((cert === undefined) !== (key === undefined)) throw options.invalid('names only one of cert and key; give both')
  const implied = ca !== undefined || cert !== undefined
  if (wanted === 'false' && implied) throw options.invalid('has tls=false and certificates; leave one out')
  return wanted === 'true' || implied ? { ca, cert, key } : undefined
}

function apiPrefix(options: AddressOptions): string {
  const domain = options.matching('domain', /^[-\w]+$/, 'letters, digits, "-" and "_"')
  const prefix = subject(options, 'apiPrefix')
  if (domain !== undefined && prefix !== undefined) throw options.invalid('has a domain and an apiPrefix; choose one')
  return prefix ?? (domain === undefined ? '$JS.API' : `$JS.${domain}.API`)
}

function subject(options: AddressOptions, name: string): string | undefined {
  return options.matching(name, /^[^\s.*>]+(\.[^\s.*>]+)*$/, 'a subject without wildcards')
}
