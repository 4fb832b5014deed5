import { fromNative, isCertificateCode, StreamError, toNativeError } from '@sluice/driver'
import type { ErrorContext, ErrorMeaning, NativeError } from '@sluice/driver'

/** What the client and the server say; `code` is the server's `err_code`, or Node's. */
interface Native extends NativeError {
  /** The HTTP-like status of a JetStream answer. */
  readonly status: number | undefined
  readonly cause: unknown
}

const wrongSequence: ErrorMeaning = { code: 'conflict', text: 'somebody else was first' }
const outOfResources: ErrorMeaning = {
  code: 'throttled',
  text: "JetStream's limits are reached; free some storage or raise the limits, then it goes on",
}
const starting: ErrorMeaning = {
  code: 'unavailable',
  text: 'JetStream is not ready: a leader is being elected; try again',
}
const crowded: ErrorMeaning = {
  code: 'throttled',
  text: "the server's queue for the stream is full (max_buffered_msgs, max_buffered_size); it goes on once there is room",
}
const off: ErrorMeaning = {
  code: 'unsupported',
  text: 'JetStream is off; start the server with -js and enable it for the account',
}

/** By the server's error code. Source: nats-server, server/errors.json. */
const byApiCode: Readonly<Record<number, ErrorMeaning>> = {
  10002: outOfResources,
  10003: { code: 'invalid-argument', text: 'the server does not understand the request' },
  10008: starting,
  10009: starting,
  10014: { code: 'not-found', text: 'the consumer does not exist' },
  10023: outOfResources,
  10026: { code: 'conflict', text: 'the account or the stream takes no more consumers; raise max_consumers' },
  10027: { code: 'conflict', text: 'the account takes no more streams; raise its limit' },
  10028: outOfResources,
  10037: { code: 'not-found', text: 'the record does not exist' },
  10039: off,
  10047: outOfResources,
  10052: { code: 'invalid-argument', text: 'the server refuses this configuration of the stream' },
  10054: { code: 'too-large', text: "the record is over the stream's max_msg_size" },
  10058: { code: 'conflict', text: 'a stream of that name exists with another configuration' },
  10059: { code: 'not-found', text: 'the stream does not exist; create the topic first' },
  10060: { code: 'conflict', text: 'another stream than expected takes the subject' },
  10065: { code: 'conflict', text: 'another stream takes the subjects of this topic; choose another name' },
  10070: wrongSequence,
  10071: wrongSequence,
  10074: { code: 'invalid-argument', text: 'the servers are too few for so many replicas; lower ?replicas' },
  10076: off,
  10077: { code: 'throttled', text: 'the stream is full and discards new records; it goes on once there is room' },
  10097: { code: 'too-large', text: 'the headers are over the 64 KiB that a server takes' },
  10110: { code: 'conflict', text: 'the stream does not allow purging' },
  10158: { code: 'unavailable', text: 'an earlier try of the record is still on its way; try again', ambiguous: true },
  10164: wrongSequence,
  10167: crowded,
}

const byStatus: Readonly<Record<number, ErrorMeaning>> = {
  400: { code: 'invalid-argument', text: 'the server refuses the request' },
  404: { code: 'not-found', text: 'it does not exist' },
  408: { code: 'timeout', text: 'the server gave up', ambiguous: true },
  429: crowded,
  503: starting,
}

const unreachable: ErrorMeaning = {
  code: 'unavailable',
  text: 'no server can be reached; is one running, and is the address right?',
}
const badCertificate: ErrorMeaning = {
  code: 'unavailable',
  text: "the server's certificate is not trusted or not made for that host; check ?ca and the name in the address",
  retryable: false,
}
const plainServer: ErrorMeaning = {
  code: 'unavailable',
  text: 'the server has no TLS; give it a certificate, or leave ?tls out',
  retryable: false,
}
const cut: ErrorMeaning = {
  code: 'unavailable',
  text: 'the connection was cut before the answer came',
  ambiguous: true,
}

const expired: ErrorMeaning = {
  code: 'unauthenticated',
  text: 'the credentials have expired; renew them and connect again',
}
const slowLogin: ErrorMeaning = {
  code: 'unavailable',
  text: "the server did not wait for the log-in; is the line very slow? Raise the server's authorization.timeout",
}

/** By the name of the client's error class. */
const byName: Readonly<Record<string, ErrorMeaning>> = {
  AuthorizationError: {
    code: 'unauthenticated',
    text: 'the server does not accept the user, password, token or key; check the address',
  },
  UserAuthenticationExpiredError: expired,
  PermissionViolationError: {
    code: 'permission-denied',
    text: 'the user may not use the subject; see the README for what is needed',
  },
  TimeoutError: {
    code: 'timeout',
    text: 'no answer within requestTimeoutMs; the server is busy, or its cluster has no leader',
    ambiguous: true,
  },
  NoResponders: starting,
  NoRespondersError: starting,
  JetStreamNotEnabled: starting,
  ConnectionError: unreachable,
  ClosedConnectionError: { code: 'closed', text: 'the connection is closed; connect again' },
  DrainingConnectionError: { code: 'closed', text: 'the connection is closing; connect again' },
  DisconnectedError: cut,
  InvalidArgumentError: { code: 'invalid-argument', text: 'the client refuses an argument' },
  InvalidSubjectError: { code: 'invalid-argument', text: 'that makes no subject' },
  InvalidNameError: { code: 'invalid-argument', text: 'that makes no name of a stream or consumer' },
  InvalidOperationError: { code: 'conflict', text: 'the client cannot do that now' },
}

const unreachableCodes: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
])

/** The connection broke between a request and its answer: what was asked may have happened. */
export class DisconnectedError extends Error {
  override readonly name = 'DisconnectedError'

  constructor() {
    super('disconnected')
  }
}

/** Maps an error of the client or the server to the closed set. Pure. */
export function toStreamError(error: unknown, context: ErrorContext): StreamError {
  if (StreamError.is(error)) return error
  const native = toNative(error)
  return fromNative(error, native, meaningOf(native), context)
}

/** Whether the server said that somebody else wrote first. */
export function isWrongSequence(error: unknown): boolean {
  const { code } = toNative(error)
  return code === 10071 || code === 10164
}

/** Whether the server knows no such stream. */
export function isStreamMissing(error: unknown): boolean {
  return toNative(error).code === 10059
}

/** Whether the server knows no such consumer, or not its stream. */
export function isConsumerMissing(error: unknown): boolean {
  return toNative(error).code === 10014 || isStreamMissing(error)
}

/** Whether nobody listens on the subject: no such stream, no such consumer, or no JetStream. */
export function isUnanswered(error: unknown): boolean {
  for (let at = error, depth = 0; at !== undefined && depth < 4; at = toNative(at).cause, depth++) {
    const { name } = toNative(at)
    if (name === 'NoResponders' || name === 'NoRespondersError') return true
  }
  return false
}

function meaningOf(native: Native): ErrorMeaning | undefined {
  if (native.name === 'AuthorizationError') {
    if (/timeout/i.test(native.message)) return slowLogin
    if (/expired/i.test(native.message)) return expired
  }
  if (native.name === 'ConnectionError' && native.message.includes("does not support 'tls'")) return plainServer
  if (native.name === 'InvalidArgumentError' && native.message.includes('max_payload')) {
    return { code: 'too-large', text: "the record is over the server's max_payload" }
  }
  if (typeof native.code === 'number' && byApiCode[native.code] !== undefined) return byApiCode[native.code]
  if (typeof native.code === 'string') {
    if (unreachableCodes.has(native.code)) return unreachable
    if (isCertificateCode(native.code)) return badCertificate
  }
  if (native.cause !== undefined && isWrapper(native.name)) {
    const inner = meaningOf(toNative(native.cause))
    if (inner !== undefined) return inner
  }
  if (native.status !== undefined && byStatus[native.status] !== undefined) return byStatus[native.status]
  // A request that was under way when the client closed.
  if (native.name === 'RequestError' && native.message === 'connection closed') return byName['ClosedConnectionError']
  return byName[native.name]
}

/** Classes that say less than what they wrap. */
function isWrapper(name: string): boolean {
  return name === 'RequestError' || name === 'JetStreamNotEnabled' || name === 'ConnectionError' || name === 'Error'
}

function toNative(error: unknown): Native {
  const { status, cause } = (error ?? {}) as { readonly status?: unknown; readonly cause?: unknown }
  return { ...toNativeError(error), status: typeof status === 'number' ? status : undefined, cause }
}
