import { fromNative, isCertificateCode, StreamError, systemErrorCode, toNativeError } from '@sluice/driver'
import type { ErrorContext, ErrorMeaning, NativeError } from '@sluice/driver'

/** What the SDK and the service say. */
interface Native extends NativeError {
  readonly httpStatus: number | undefined
}

const unknownUser: ErrorMeaning = {
  code: 'unauthenticated',
  text: 'AWS does not accept the credentials; check the access key, the profile and the account',
}
const expired: ErrorMeaning = {
  code: 'unauthenticated',
  text: 'the credentials have expired; log in again, or let a role renew them',
}
/** The SDK has learnt the service's time from that answer, and signs the next request with it. */
const clockOff: ErrorMeaning = {
  code: 'unavailable',
  text: "this machine's clock is off, or the request was long on its way; set the clock",
}
const garbled: ErrorMeaning = {
  code: 'unavailable',
  text: 'what answered is not the service, or its answer was cut off; is there a proxy?',
  ambiguous: true,
}
const noWayOut: ErrorMeaning = {
  code: 'unauthenticated',
  text: 'a proxy on the way wants to know who asks; give it what it wants, or go around it',
}
const noTls: ErrorMeaning = {
  code: 'unavailable',
  text: 'what answers there speaks no TLS; write http:// in ?endpoint or ?dynamoEndpoint, or check the port',
  retryable: false,
}
const late: ErrorMeaning = { code: 'timeout', text: 'no answer in time', ambiguous: true }
const tooLarge: ErrorMeaning = { code: 'too-large', text: 'the record or request is larger than the service takes' }
const noCredentials: ErrorMeaning = {
  code: 'unauthenticated',
  text: 'no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (?profile=), or run where a role gives them',
}
const forbidden: ErrorMeaning = {
  code: 'permission-denied',
  text: 'the policy does not allow it; the README of @sluice/kinesis lists what is needed',
}
const tooFast: ErrorMeaning = {
  code: 'throttled',
  text: 'the quota of the shard or the table is used up; it goes on more slowly, or add shards or capacity',
}
const tooManyCalls: ErrorMeaning = { code: 'throttled', text: 'too many calls, or a limit of the account is reached' }
const accountFull: ErrorMeaning = {
  code: 'throttled',
  text: 'a limit of the account is reached; delete what is not used, or ask AWS for more',
  retryable: false,
}
const stranger: ErrorMeaning = {
  code: 'invalid-argument',
  text: 'what answers there does not know this call; is ?endpoint Kinesis, and ?dynamoEndpoint DynamoDB?',
}
const notNow: ErrorMeaning = { code: 'unavailable', text: 'the service has trouble; try again', ambiguous: true }
const keyTrouble: ErrorMeaning = {
  code: 'conflict',
  text: 'the KMS key cannot be used; enable it, or give the stream another',
}

const noStream: ErrorMeaning = {
  code: 'not-found',
  text: 'the stream does not exist in this account and region; create it (admin.createTopic, or connect with create: true), or check the region in the address',
}
const noConsumer: ErrorMeaning = {
  code: 'not-found',
  text: 'the fan-out consumer is gone or not active yet; a group that runs registers its own again',
}

/** By the name of the service's exception. Source: API references of Kinesis Data Streams and DynamoDB, "Common errors". */
const byName: Readonly<Record<string, ErrorMeaning>> = {
  ResourceNotFoundException: {
    code: 'not-found',
    text: 'it does not exist in this account and region; create it, or check the region in the address',
  },
  ResourceInUseException: { code: 'conflict', text: 'it is being changed at the moment, or exists already' },
  InvalidArgumentException: { code: 'invalid-argument', text: 'the service refuses an argument' },
  ValidationException: { code: 'invalid-argument', text: 'the service refuses the request' },
  UnknownOperationException: stranger,
  SerializationException: { code: 'invalid-argument', text: 'the service cannot read the request' },
  ProvisionedThroughputExceededException: tooFast,
  RequestLimitExceeded: tooFast,
  ThrottlingException: tooManyCalls,
  Throttling: tooManyCalls,
  LimitExceededException: tooManyCalls,
  KMSThrottlingException: { code: 'throttled', text: 'too many calls to KMS' },
  KMSAccessDeniedException: { code: 'permission-denied', text: 'the policy does not allow the use of the KMS key' },
  KMSDisabledException: keyTrouble,
  KMSInvalidStateException: keyTrouble,
  KMSNotFoundException: { code: 'not-found', text: 'the KMS key does not exist' },
  KMSOptInRequired: { code: 'permission-denied', text: 'the account has no KMS; subscribe to it' },
  AccessDeniedException: forbidden,
  AccessDenied: forbidden,
  NotAuthorized: forbidden,
  OptInRequired: { code: 'permission-denied', text: 'the account is not subscribed to the service' },
  UnrecognizedClientException: unknownUser,
  InvalidClientTokenId: unknownUser,
  InvalidSignatureException: unknownUser,
  SignatureDoesNotMatch: unknownUser,
  IncompleteSignature: unknownUser,
  MissingAuthenticationTokenException: unknownUser,
  MissingAuthenticationToken: unknownUser,
  RequestTimeTooSkewed: clockOff,
  RequestExpired: clockOff,
  ExpiredTokenException: expired,
  ExpiredToken: expired,
  CredentialsProviderError: noCredentials,
  TokenProviderError: noCredentials,
  InternalFailure: notNow,
  InternalFailureException: notNow,
  InternalServerError: notNow,
  ServiceUnavailable: notNow,
  ServiceUnavailableException: notNow,
  ExpiredIteratorException: { code: 'unavailable', text: 'an iterator has expired; reading goes on with another' },
  ExpiredNextTokenException: { code: 'unavailable', text: 'a list took too long to be read; try again' },
  ConditionalCheckFailedException: { code: 'conflict', text: 'somebody else was first' },
  TimeoutError: late,
  RequestTimeout: late,
  TransactionConflictException: { code: 'unavailable', text: 'somebody else writes the same item at the moment' },
}

const unreachable: ErrorMeaning = {
  code: 'unavailable',
  text: 'the endpoint cannot be reached; are the region, ?endpoint and ?dynamoEndpoint right, and does the network allow it?',
}
const cut: ErrorMeaning = {
  code: 'unavailable',
  text: 'the connection was cut before the answer came',
  ambiguous: true,
}
const badCertificate: ErrorMeaning = {
  code: 'unavailable',
  text: "the server's certificate is not trusted or not made for that host; check ?endpoint",
  retryable: false,
}

/** By the status, where an answer bears no name: of a proxy, a balancer or a firewall. */
const byStatus: Readonly<Record<number, ErrorMeaning>> = {
  403: forbidden,
  407: noWayOut,
  408: late,
  413: tooLarge,
  429: tooManyCalls,
}

/**
 * What the SDK throws without a name or a code when a connection breaks: over HTTP/2 (node-http-handler), and in the middle
 * of an event (core, event-streams).
 */
const broken =
  /frame type id|abnormally aborted|did not get a response|destroyed session|no activity for|event message|event stream message|received message length|checksum/i

/** Connections that never came about: nothing was sent. */
const neverConnected: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ERR_SOCKET_CONNECTION_TIMEOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
])
/** No way there: for a new connection, or for one on which something was sent. */
const noWay: ReadonlySet<string> = new Set(['EHOSTUNREACH', 'ENETUNREACH'])

/** What the SDK calls an error that says of itself nothing, by its version and the body. */
const unnamed: ReadonlySet<string> = new Set(['Unknown', 'UnknownError'])

/** Maps an error of the SDK or the service to the closed set. Pure. */
export function toStreamError(error: unknown, context: ErrorContext): StreamError {
  if (StreamError.is(error)) return error
  const native = toNative(error)
  return fromNative(error, native, meaningOf(native, error), context)
}

/** Whether the service knows no such stream, shard, consumer or table. */
export function isMissing(error: unknown): boolean {
  return toNative(error).name === 'ResourceNotFoundException'
}

/** Whether it exists already, or is being changed at the moment. */
export function isInUse(error: unknown): boolean {
  return toNative(error).name === 'ResourceInUseException'
}

export function isExpiredIterator(error: unknown): boolean {
  return toNative(error).name === 'ExpiredIteratorException'
}

/** Whether a condition of a write was not met: somebody else wrote first. */
export function isConditionFailed(error: unknown): boolean {
  return toNative(error).name === 'ConditionalCheckFailedException'
}

/** Whether an argument was refused, for whatever reason. */
export function isRefused(error: unknown): boolean {
  return toNative(error).name === 'InvalidArgumentException'
}

export function isLimitExceeded(error: unknown): boolean {
  return toNative(error).name === 'LimitExceededException'
}

/** Whether the service refused a request for its time. The next one is signed with the service's. */
export function isClockOff(error: unknown): boolean {
  return meaningOf(toNative(error), error) === clockOff
}

/** Whether the service itself refused a request for what is in it, and might take it without that. */
export function isRefusedForContent(error: unknown): boolean {
  const native = toNative(error)
  return isTooLarge(native) || native.name === 'InvalidArgumentException' || native.name === 'ValidationException'
}

/** The error of an answer that holds nothing of what it should. */
export function noAnswer(what: string): StreamError {
  return new StreamError('unavailable', `${what} failed: ${garbled.text}`, { ambiguous: true })
}

/** What a record of PutRecords came back with. */
export function recordError(code: string, message: string, topic: string): StreamError {
  return toStreamError({ name: code, message }, { operation: 'send', topic })
}

function meaningOf(native: Native, error: unknown): ErrorMeaning | undefined {
  const { name, message, code, httpStatus } = native
  if (isTooLarge(native)) return tooLarge
  // A connection that broke under several requests rejects all with one error, which the SDK marks for each, and cannot twice.
  if (name === 'TypeError' && message.includes('$response')) return cut
  if (name === 'LimitExceededException' && /shard limit|table.*limit|limit.*tables/i.test(message)) return accountFull
  if (name === 'InvalidSignatureException' && /signature (?:expired|not yet current)/i.test(message)) return clockOff
  if (name === 'SyntaxError') return httpStatus === 429 ? tooManyCalls : garbled
  if (name === 'AccessDeniedException' && /expired/i.test(message)) return expired
  if (name === 'Error' && /region is missing/i.test(message))
    return {
      code: 'invalid-argument',
      text: 'no region; write it into the address, kinesis://eu-west-1, or set AWS_REGION',
    }
  if (name === 'ResourceNotFoundException' && /^stream\b/i.test(message)) return noStream
  if (name === 'ResourceNotFoundException' && /^consumer\b/i.test(message)) return noConsumer
  // The SDK calls it so, whatever came of the connection; over HTTP/2 without a code.
  if (name === 'TimeoutError' && (code === 'ECONNRESET' || code === 'EPIPE' || /did not get a response/.test(message)))
    return cut
  // Some services, and emulators, leave "Exception" out, or have it where others do not.
  const known = byName[name] ?? byName[name.replace(/Exception$/, '')] ?? byName[`${name}Exception`]
  if (known !== undefined) return known
  if (typeof code === 'string') {
    const codes = codesOf(error)
    if (codes.some((one) => neverConnected.has(one))) return unreachable
    if (codes.some((one) => noWay.has(one))) return { ...unreachable, ambiguous: true }
    if (codes.some(isCertificateCode)) return badCertificate
    if (codes.includes('ERR_SSL_WRONG_VERSION_NUMBER')) return noTls
    // Not HTTP at all.
    if (code.startsWith('HPE_')) return garbled
    if (/^(ECONNRESET|ECONNABORTED|EPIPE|ERR_HTTP2_|ERR_STREAM_PREMATURE_CLOSE)/.test(code)) return cut
  }
  if (httpStatus !== undefined && httpStatus >= 500) return notNow
  if (httpStatus !== undefined && httpStatus >= 400 && unnamed.has(name)) return byStatus[httpStatus] ?? stranger
  if (name === 'Error' && broken.test(message)) return cut
  const system = systemErrorCode(error)
  return system === 'timeout' ? byName['TimeoutError'] : system === 'unavailable' ? cut : undefined
}

/** Its own code, and those of its causes: over HTTP/2 a request is cancelled, and the reason is its cause. */
function codesOf(error: unknown): readonly string[] {
  const codes: string[] = []
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 4; depth++) {
    const { code, cause } = at as { readonly code?: unknown; readonly cause?: unknown }
    if (typeof code === 'string') codes.push(code)
    at = cause
  }
  return codes
}

function isTooLarge({ name, message }: Native): boolean {
  if (name === 'RequestEntityTooLargeException') return true
  if (name !== 'InvalidArgumentException' && name !== 'ValidationException') return false
  return /length less than or equal to \d{6,}|\b(?:record|request|payload)\b.*\b(?:exceed|larger)/i.test(message)
}

function toNative(error: unknown): Native {
  const native = toNativeError(error)
  const { $metadata } = (error ?? {}) as { readonly $metadata?: { readonly httpStatusCode?: unknown } }
  const { httpStatusCode } = $metadata ?? {}
  return {
    ...native,
    message: withoutSecrets(native.message)
      .replaceAll(/\s*[\r\n]\s*/g, ' ')
      .trim(),
    httpStatus: typeof httpStatusCode === 'number' ? httpStatusCode : undefined,
  }
}

/** A signature that does not match comes with the whole request as it was signed, session token and all, or with a part of its header; others with advice on the SDK. */
function withoutSecrets(message: string): string {
  const quiet = message.replace(/'[^']*'(?= not a valid key=value pair)/, "'…'")
  return quiet.replace(
    /\s*(?:The Canonical String\b|The String-to-Sign\b|Authorization header\b|\bAuthorization=|Deserialization error: to see the raw response).*/s,
    '',
  )
}
