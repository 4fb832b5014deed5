import { createHash, createHmac } from 'node:crypto'
import { ServiceError } from '../service-error.ts'

/** Whom the server knows. */
export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary credentials: requests have to bring it. */
  readonly sessionToken?: string
  /** Of temporary credentials: from this wall-clock time on they are expired, in milliseconds since 1970. */
  readonly expiresAtMs?: number
  /** Calls that are denied, by name: `CreateStream`. Default none. */
  readonly denied?: readonly string[]
}

/** What a signature covers. */
export interface SignedRequest {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

interface Scope {
  readonly accessKeyId: string
  readonly date: string
  readonly region: string
  readonly service: string
  /** `aws4_request` */
  readonly terminator: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

/**
 * The region that a request was signed for. With `known`, whether it was signed by one of these (Signature Version 4,
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html); otherwise any signature will do.
 */
export function authorize(
  request: SignedRequest,
  call: string,
  known: readonly Credentials[] | undefined,
  nowMs: number,
): { readonly region: string } {
  const scope = scopeOf(request.headers['authorization'])
  if (known === undefined) return scope
  const who = known.find(({ accessKeyId }) => accessKeyId === scope.accessKeyId)
  const token = request.headers['x-amz-security-token']
  if (who === undefined || who.sessionToken !== token)
    throw refused('UnrecognizedClientException', 'The security token included in the request is invalid.')
  if (who.expiresAtMs !== undefined && nowMs >= who.expiresAtMs)
    throw refused('ExpiredTokenException', 'The security token included in the request is expired')
  checkScope(request, scope, nowMs)
  if (signatureOf(request, scope, who.secretAccessKey) !== scope.signature)
    throw refused(
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    )
  if (who.denied?.includes(call) === true)
    throw refused(
      'AccessDeniedException',
      `User: arn:aws:iam::000000000000:user/${who.accessKeyId} is not authorized to perform: kinesis:${call} because no identity-based policy allows the kinesis:${call} action`,
    )
  return scope
}

/** How far the clock of a client may be off, in milliseconds. Source: AWS General Reference, "Signature Version 4". */
const skewMs = 15 * 60_000

/** What a signature has to be made for, besides being right. */
function checkScope(
  { headers }: SignedRequest,
  { date, service, terminator, signedHeaders }: Scope,
  nowMs: number,
): void {
  const wrong = (message: string): ServiceError => refused('InvalidSignatureException', message)
  const time = headers['x-amz-date'] ?? ''
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? []
  const signedAtMs = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (!time.startsWith(date))
    throw wrong(
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${date}' != '${time}'.`,
    )
  if (!(Math.abs(nowMs - signedAtMs) <= skewMs))
    throw wrong(`Signature expired: ${time} is not within 15 min of the server's time.`)
  if (service !== 'kinesis' || terminator !== 'aws4_request')
    throw wrong(`Credential should be scoped to correct service: 'kinesis'.`)
  const missing = Object.keys(headers).find((name) => name.startsWith('x-amz-') && !signedHeaders.includes(name))
  // In HTTP/2 the host is the authority.
  const signsHost = signedHeaders.includes('host') || signedHeaders.includes(':authority')
  if (!signsHost || missing !== undefined)
    throw wrong(`'${missing ?? 'Host'}' must be a 'SignedHeader' in the AWS Authorization.`)
}

function scopeOf(header: string | undefined): Scope {
  if (header === undefined) throw refused('MissingAuthenticationTokenException', 'Missing Authentication Token')
  const parts = /^AWS4-HMAC-SHA256 (.*)$/.exec(header)?.[1]?.split(/,\s*/) ?? []
  const given = new Map(parts.map((part) => part.split('=', 2) as [string, string]))
  const [accessKeyId, date, region, service, terminator = ''] = given.get('Credential')?.split('/') ?? []
  const signedHeaders = given.get('SignedHeaders')?.split(';')
  const signature = given.get('Signature')
  if (!accessKeyId || !date || !region || !service || signedHeaders === undefined || signature === undefined)
    throw refused(
      'IncompleteSignatureException',
      `Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters and existence of either a 'X-Amz-Date' or a 'Date' header.`,
    )
  return { accessKeyId, date, region, service, terminator, signedHeaders, signature }
}

function signatureOf(request: SignedRequest, scope: Scope, secret: string): string {
  const { method, path, query, headers, body } = request
  const { date, region, service, signedHeaders } = scope
  const lines = signedHeaders.map((name) => `${name}:${(headers[name] ?? '').trim().replace(/\s+/g, ' ')}\n`)
  const canonical = [method, path, canonicalQuery(query), lines.join(''), signedHeaders.join(';'), sha256(body)].join(
    '\n',
  )
  const where = `${date}/${region}/${service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', headers['x-amz-date'] ?? '', where, sha256(canonical)].join('\n')
  const key = [date, region, service, 'aws4_request'].reduce<Buffer | string>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    `AWS4${secret}`,
  )
  return createHmac('sha256', key).update(toSign).digest('hex')
}

/** Names and values encoded anew, by name. */
function canonicalQuery(query: string): string {
  const encode = (text: string): string =>
    encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
  return [...new URLSearchParams(query)]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .toSorted()
    .join('&')
}

function sha256(data: Buffer | string): string {
  return createHash('sha256').update(data).digest('hex')
}

function refused(type: string, message: string): ServiceError {
  return new ServiceError(type, message)
}
