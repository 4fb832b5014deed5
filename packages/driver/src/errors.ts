/**
 * The closed set of error codes. A program acts on the code, never on the message.
 *
 * - `not-found` a topic, group or partition does not exist
 * - `already-exists` something of that name exists already
 * - `invalid-argument` the call can never succeed as it is written
 * - `unauthenticated` the backend does not know who we are
 * - `permission-denied` it knows, and refuses
 * - `throttled` too fast or over a quota; slow down and try again
 * - `too-large` a record or request is over a limit; nothing was sent
 * - `unavailable` the backend cannot be reached or is not ready
 * - `timeout` no answer in time; what was asked may have happened
 * - `aborted` the caller's signal ended the call
 * - `closed` the object was closed before the call
 * - `fenced` somebody else owns this now, or an earlier failure blocks it
 * - `conflict` the state of the thing forbids the call
 * - `unsupported` this backend cannot do it (see its capabilities); nothing was sent
 * - `corrupt` stored or received bytes do not make sense
 * - `internal` a defect, in Sluice or in the backend
 */
export type ErrorCode =
  | 'not-found'
  | 'already-exists'
  | 'invalid-argument'
  | 'unauthenticated'
  | 'permission-denied'
  | 'throttled'
  | 'too-large'
  | 'unavailable'
  | 'timeout'
  | 'aborted'
  | 'closed'
  | 'fenced'
  | 'conflict'
  | 'unsupported'
  | 'corrupt'
  | 'internal'

/** Every {@link ErrorCode}, for tables and tests. */
export const errorCodes: readonly ErrorCode[] = [
  'not-found',
  'already-exists',
  'invalid-argument',
  'unauthenticated',
  'permission-denied',
  'throttled',
  'too-large',
  'unavailable',
  'timeout',
  'aborted',
  'closed',
  'fenced',
  'conflict',
  'unsupported',
  'corrupt',
  'internal',
]

const retryableCodes: ReadonlySet<ErrorCode> = new Set(['throttled', 'unavailable', 'timeout'])
const marker = Symbol.for('sluice/StreamError')

/** What a {@link StreamError} can carry besides its code and message. */
export interface StreamErrorOptions {
  /** The error underneath, kept as it came: the native cause. */
  readonly cause?: unknown
  /** Whether the same call may succeed later. Default: true for `throttled`, `unavailable` and `timeout`. */
  readonly retryable?: boolean
  /** Whether what was asked may have happened all the same. Default: true for `timeout` only. */
  readonly ambiguous?: boolean
  /** How long the backend asks us to wait before the next try, in milliseconds. */
  readonly retryAfterMs?: number
  /** Structured facts for logs (topic, partition, group, operation, names of unsent records). Never a secret. */
  readonly details?: Readonly<Record<string, unknown>>
}

/**
 * The one error class of Sluice. Its message names what failed, where, and what to do about it.
 *
 * Use {@link StreamError.is} rather than `instanceof`: it holds across two installed copies of this package.
 */
export class StreamError extends Error {
  override readonly name = 'StreamError'
  /** What kind of failure this is. */
  readonly code: ErrorCode
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
  /** Whether what was asked may have happened all the same (a lost answer, a timeout). */
  readonly ambiguous: boolean
  /** How long the backend asks us to wait before the next try, in milliseconds. */
  readonly retryAfterMs: number | undefined
  /** Structured facts for logs. Never a secret. */
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: StreamErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retryable = options.retryable ?? retryableCodes.has(code)
    this.ambiguous = options.ambiguous ?? code === 'timeout'
    this.retryAfterMs = options.retryAfterMs
    this.details = options.details ?? {}
    Object.defineProperty(this, marker, { value: true })
  }

  /** Whether `error` is a StreamError, of the given code when one is given. */
  static is(error: unknown, code?: ErrorCode): error is StreamError {
    if (typeof error !== 'object' || error === null || !(marker in error)) return false
    return code === undefined || ('code' in error && error.code === code)
  }

  /** Returns `error` itself when it is a StreamError, else wraps it as `internal` with the given message. */
  static from(error: unknown, message: string): StreamError {
    if (StreamError.is(error)) return error
    return new StreamError('internal', `${message}: ${textOf(error)}`, { cause: error })
  }

  /** The error for a record that was not tried, because an earlier one of its key was not stored. */
  static behind(): StreamError {
    return new StreamError('unavailable', 'an earlier record of the key was not sent, so this one was not tried')
  }

  /** The error for an aborted call: keeps the signal's reason as its cause. */
  static aborted(signal: AbortSignal, what: string): StreamError {
    return new StreamError('aborted', `${what} was aborted by its signal`, { cause: signal.reason })
  }
}

/** An error's own words, whatever was thrown. */
export function textOf(error: unknown): string {
  try {
    const text: unknown = error instanceof Error ? error.message : error
    return typeof text === 'string' ? text : String(text)
  } catch {
    // Anything can be thrown, also what cannot be turned into text.
    return 'an error without text'
  }
}
