import type { ErrorContext } from './driver.ts'
import { StreamError } from './errors.ts'
import type { ErrorCode } from './errors.ts'

/** What an error of a vendor's SDK means. */
export interface ErrorMeaning {
  readonly code: ErrorCode
  /** What happened and what to do about it. */
  readonly text: string
  /** Default: what the code implies. */
  readonly retryable?: boolean
  /** Default: what the code implies. */
  readonly ambiguous?: boolean
}

/** What an SDK said, without its classes: two installed copies still agree. Holds no secret. */
export interface NativeError {
  readonly name: string
  readonly message: string
  /** Its own code, or Node's of a socket error. */
  readonly code: string | number | undefined
}

/** The error for one of a vendor's SDK, which is its cause. Without a meaning it is `internal`. */
export function fromNative(
  cause: unknown,
  native: NativeError,
  meaning: ErrorMeaning | undefined,
  context: ErrorContext,
): StreamError {
  const failed = `${describeContext(context)} failed`
  const details = { ...context, native: native.code ?? native.name }
  if (meaning === undefined) return new StreamError('internal', `${failed}: ${native.message}`, { cause, details })
  const { code, text, retryable, ambiguous } = meaning
  const said = native.name === 'Error' ? native.message : `${native.name}: ${native.message}`
  return new StreamError(code, `${failed}: ${text} (${said})`, {
    cause,
    details,
    ...(retryable === undefined ? {} : { retryable }),
    ...(ambiguous === undefined ? {} : { ambiguous }),
  })
}

/** What can be told of anything that was thrown. */
export function toNativeError(error: unknown): NativeError {
  if (typeof error !== 'object' || error === null) return { name: 'Error', message: String(error), code: undefined }
  const { name, message, code } = error as Readonly<Record<string, unknown>>
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' && message !== '' ? message : 'no message',
    code: typeof code === 'string' || typeof code === 'number' ? code : undefined,
  }
}

/** Whether Node's code says that a server's certificate is not trusted, or not made for that host. */
export function isCertificateCode(code: string): boolean {
  return /^(ERR_TLS_CERT|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER))/.test(code)
}

function describeContext({ operation, topic, group }: ErrorContext): string {
  const onTopic = topic === undefined ? '' : ` on topic "${topic}"`
  const forGroup = group === undefined ? '' : ` for group "${group}"`
  return `${operation}${onTopic}${forGroup}`
}
