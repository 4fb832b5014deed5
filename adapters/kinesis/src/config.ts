import { AddressOptions } from '@sluice/driver'
import type { BackendUrl, OptionDescription } from '@sluice/driver'

/** Every option of `kinesis:` addresses. */
export const optionDescriptions: readonly OptionDescription[] = [
  { name: 'endpoint', default: '', meaning: 'Where Kinesis is, if not at AWS: `http://127.0.0.1:4566`' },
  { name: 'dynamoEndpoint', default: '', meaning: 'Where DynamoDB is; where left out, at `endpoint`' },
  { name: 'profile', default: '', meaning: "A profile of AWS's shared configuration files" },
  { name: 'roleArn', default: '', meaning: 'A role to assume with the credentials found' },
  { name: 'roleSessionName', default: 'sluice', meaning: 'The name of that session, for audit logs' },
  { name: 'externalId', default: '', meaning: 'What the trust policy of that role asks for' },
  {
    name: 'http1',
    default: '',
    meaning: '`true`: HTTP/1.1, for proxies and servers without HTTP/2. Where left out: for `http:` endpoints',
  },
  {
    name: 'encoding',
    default: 'kpl',
    meaning: 'How records are written: `kpl`, `raw` (the body alone) or `cloudevents-json`. All are read',
  },
  { name: 'aggregation', default: 'true', meaning: '`false`: with `kpl`, every record is a record of the stream' },
  { name: 'aggregateBytes', default: '204800', meaning: 'How large a record of the stream may grow by aggregation' },
  { name: 'mode', default: 'polling', meaning: '`polling`, or `efo`: enhanced fan-out' },
  { name: 'pollMs', default: '1000', meaning: 'How long a shard is left alone that had nothing more' },
  {
    name: 'paceMs',
    default: '200',
    meaning: 'The least time between two reads of a shard: all groups share five a second',
  },
  { name: 'partitions', default: '4', meaning: 'Shards of a stream that is made without saying how many' },
  { name: 'capacity', default: 'provisioned', meaning: '`provisioned` or `on-demand`, for streams made here' },
  {
    name: 'kmsKey',
    default: '',
    meaning: 'The KMS key that encrypts streams made here, by its id, ARN or `alias/...`',
  },
  {
    name: 'leaseTable',
    default: 'sluice.{topic}.{group}',
    meaning: 'The DynamoDB table of leases. `{group}` alone: as KCL applications name it',
  },
  {
    name: 'leaseBilling',
    default: 'on-demand',
    meaning: '`on-demand`, or `READS:WRITES` of provisioned capacity, for tables made here',
  },
  { name: 'leaseTags', default: '', meaning: 'Tags of tables made here: `team=data,env=prod`' },
  {
    name: 'failoverMs',
    default: '10000',
    meaning: 'A silent member loses its partitions after this time; another has them within half as long again',
  },
  { name: 'connectTimeoutMs', default: '3000', meaning: 'Gives up dialling an endpoint after this time' },
  { name: 'requestTimeoutMs', default: '10000', meaning: 'Gives up waiting for an answer after this time' },
  {
    name: 'readyTimeoutMs',
    default: '120000',
    meaning: 'Gives up waiting for a stream, a fan-out consumer or a table to become active after this time',
  },
]

/** How records are written. */
export type Encoding = 'kpl' | 'raw' | 'cloudevents-json'

/** Keys in the address, for emulators. */
export interface StaticCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** What an address of this adapter says. Secrets are in `credentials`, and nowhere else. */
export interface KinesisConfig {
  /** `undefined`: what the environment says. */
  readonly region: string | undefined
  readonly endpoint: string | undefined
  readonly dynamoEndpoint: string | undefined
  readonly credentials: StaticCredentials | undefined
  readonly profile: string | undefined
  readonly role:
    | { readonly arn: string; readonly sessionName: string; readonly externalId: string | undefined }
    | undefined
  readonly http1: boolean
  readonly encoding: Encoding
  readonly aggregation: boolean
  readonly aggregateBytes: number
  readonly mode: 'polling' | 'efo'
  readonly pollMs: number
  readonly paceMs: number
  readonly partitions: number
  readonly capacity: 'provisioned' | 'on-demand'
  readonly kmsKey: string | undefined
  readonly leaseTable: string
  /** `undefined`: pay for each request. */
  readonly leaseUnits: { readonly read: number; readonly write: number } | undefined
  readonly leaseTags: Readonly<Record<string, string>>
  readonly failoverMs: number
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly readyTimeoutMs: number
  /** The address for messages. */
  readonly safe: string
}

/** Reads an address. Throws `invalid-argument` for what it cannot read, saying what to write instead. Pure. */
export function parseConfig(url: BackendUrl): KinesisConfig {
  const options = new AddressOptions(url, optionDescriptions)
  const whole = (name: string, fallback: number, min: number, max: number): number =>
    options.whole(name, min, max) ?? fallback
  const endpoint = endpointOf(options, 'endpoint')
  const encoding = options.choice('encoding', ['kpl', 'raw', 'cloudevents-json']) ?? 'kpl'
  const http1 = options.choice('http1', ['true', 'false'])
  return {
    region: region(url, options),
    endpoint,
    dynamoEndpoint: endpointOf(options, 'dynamoEndpoint') ?? endpoint,
    credentials: credentials(url, options),
    profile: options.text('profile'),
    role: role(options),
    http1: http1 === undefined ? (endpoint?.startsWith('http:') ?? false) : http1 === 'true',
    encoding,
    aggregation: encoding === 'kpl' && options.choice('aggregation', ['true', 'false']) !== 'false',
    aggregateBytes: whole('aggregateBytes', 204_800, 1_024, 1_048_576),
    mode: options.choice('mode', ['polling', 'efo']) ?? 'polling',
    pollMs: whole('pollMs', 1_000, 1, 60_000),
    paceMs: whole('paceMs', 200, 0, 60_000),
    partitions: whole('partitions', 4, 1, 10_000),
    capacity: options.choice('capacity', ['provisioned', 'on-demand']) ?? 'provisioned',
    kmsKey: options.text('kmsKey'),
    leaseTable:
      options.matching(
        'leaseTable',
        /^(?:[\w.-]|\{(?:topic|group)\})+$/,
        'letters, digits, ".", "-", "_", {topic} and {group}',
      ) ?? 'sluice.{topic}.{group}',
    leaseUnits: leaseUnits(options),
    leaseTags: leaseTags(options),
    failoverMs: whole('failoverMs', 10_000, 100, 600_000),
    connectTimeoutMs: whole('connectTimeoutMs', 3_000, 10, 600_000),
    requestTimeoutMs: whole('requestTimeoutMs', 10_000, 10, 600_000),
    readyTimeoutMs: whole('readyTimeoutMs', 120_000, 10, 3_600_000),
    safe: url.safe,
  }
}

function region(url: BackendUrl, options: AddressOptions): string | undefined {
  const name = url.path.replace(/\/$/, '')
  if (name === '') return undefined
  if (/^[a-z]{2,}(-[a-z0-9]+)+$/.test(name)) return name
  throw options.invalid(`names no region; write kinesis://eu-west-1, or kinesis: for the region of the environment`)
}

function endpointOf(options: AddressOptions, name: string): string | undefined {
  const what = 'http://host:port or https://host'
  const text = options.matching(name, /^https?:\/\/[^\s/\\?#@]+\/?$/, what)
  if (text !== undefined && !URL.canParse(text)) throw options.invalid(`has a bad ${name}; write ${what}`)
  return text?.replace(/\/$/, '')
}

/** `key:secret@`. */
function credentials(url: BackendUrl, options: AddressOptions): StaticCredentials | undefined {
  const userInfo = /^[^:]*:\/\/([^/?#]*)@/.exec(url.href)?.[1]
  if (userInfo === undefined) return undefined
  const at = userInfo.indexOf(':')
  if (at < 1) throw options.invalid('has half a login before the "@"; write ACCESS_KEY_ID:SECRET_ACCESS_KEY@')
  if (options.text('profile') !== undefined) throw options.invalid('has keys and a profile; choose one')
  try {
    return {
      accessKeyId: decodeURIComponent(userInfo.slice(0, at)),
      secretAccessKey: decodeURIComponent(userInfo.slice(at + 1)),
    }
  } catch {
    // The cause would show what could not be decoded.
    throw options.invalid('has a broken %-escape before the "@"')
  }
}

function role(options: AddressOptions): KinesisConfig['role'] {
  const arn = options.matching('roleArn', /^arn:[\w-]+:iam::\d{12}:role\/.+$/, 'arn:aws:iam::<account>:role/<name>')
  const sessionName = options.matching('roleSessionName', /^[\w+=,.@-]{2,64}$/, '2 to 64 letters, digits and +=,.@-')
  const externalId = options.text('externalId')
  if (arn !== undefined) return { arn, sessionName: sessionName ?? 'sluice', externalId }
  if (sessionName === undefined && externalId === undefined) return undefined
  throw options.invalid('says how to assume a role, but not which; add roleArn')
}

function leaseUnits(options: AddressOptions): KinesisConfig['leaseUnits'] {
  const text = options.matching('leaseBilling', /^(on-demand|[1-9]\d{0,5}:[1-9]\d{0,5})$/, 'on-demand, or READS:WRITES')
  if (text === undefined || text === 'on-demand') return undefined
  const [read, write] = text.split(':').map(Number)
  return { read: read ?? 1, write: write ?? 1 }
}

/** What tables made here bear of themselves. */
export const ownTagName = 'created-by'

function leaseTags(options: AddressOptions): Readonly<Record<string, string>> {
  const text = options.matching('leaseTags', /^([^=,]+=[^=,]*)(,[^=,]+=[^=,]*)*$/, 'name=value, several with commas')
  const tags = new Map<string, string>()
  for (const pair of text?.split(',') ?? []) {
    const [name = '', value = ''] = pair.split('=')
    if (name === ownTagName)
      throw options.invalid(`has the tag "${name}" in leaseTags, by which we know our own tables; choose another name`)
    if (tags.has(name)) throw options.invalid(`has the tag "${name}" twice in leaseTags; keep one`)
    tags.set(name, value)
  }
  return Object.fromEntries(tags)
}
