import { StreamError } from '@sluice/driver'
import type { ErrorCode, ErrorContext } from '@sluice/driver'

/** An error of SQLite or of the file system, in a form that survives the way between threads. */
export interface NativeError {
  readonly name: string
  readonly message: string
  /** `ERR_SQLITE_ERROR`, or the file system's: `EACCES`, `ENOSPC`. */
  readonly code: string | undefined
  /** SQLite's extended result code. */
  readonly errcode: number | undefined
  /** Set when the error came while committing: whether it was stored is then not known for certain kinds. */
  readonly committing?: boolean
}

/** An error in a form that survives the way between threads. */
export type WireError =
  | { readonly kind: 'native'; readonly error: NativeError }
  | {
      readonly kind: 'stream'
      readonly code: ErrorCode
      readonly message: string
      readonly retryable: boolean
      readonly ambiguous: boolean
      readonly details: Readonly<Record<string, unknown>>
    }

interface Meaning {
  readonly code: ErrorCode
  /** What happened and what to do about it. */
  readonly text: string
  readonly retryable?: boolean
}

const full: Meaning = {
  code: 'unavailable',
  text: 'the disk is full; free some space or shorten the retention, then it goes on',
}

/** By SQLite's primary result code. Source: https://www.sqlite.org/rescode.html */
const bySqlite: Readonly<Record<number, Meaning>> = {
  3: { code: 'permission-denied', text: 'the file may not be used; check the rights on the folder' },
  5: { code: 'unavailable', text: 'another process holds the write lock; try again, or raise ?busyMs' },
  6: { code: 'unavailable', text: 'a table is locked; try again' },
  7: { code: 'unavailable', text: 'out of memory' },
  8: { code: 'permission-denied', text: 'the folder is read-only; check its rights and the mount' },
  9: { code: 'aborted', text: 'the statement was interrupted' },
  10: { code: 'unavailable', text: 'the disk did not read or write; check the device' },
  11: { code: 'corrupt', text: 'the file is damaged; restore the folder from a copy' },
  13: full,
  14: { code: 'unavailable', text: 'the file cannot be opened; check that the folder is on a disk and may be written' },
  15: { code: 'unavailable', text: "the locks of several processes got in each other's way; try again" },
  18: { code: 'too-large', text: 'the batch is larger than SQLite stores in one row' },
  22: { code: 'unsupported', text: 'the file system lacks what SQLite needs; use a local disk' },
  23: { code: 'permission-denied', text: 'SQLite refused the statement' },
  26: { code: 'corrupt', text: 'the file is not a Sluice log; take another folder, or restore it from a copy' },
}

/** By the file system's code. */
const byFileSystem: Readonly<Record<string, Meaning>> = {
  EACCES: { code: 'permission-denied', text: 'this user may not use the folder; check its rights' },
  EPERM: { code: 'permission-denied', text: 'this user may not use the folder; check its rights' },
  EROFS: { code: 'permission-denied', text: 'the file system is read-only' },
  ENOSPC: full,
  EDQUOT: full,
  ENOENT: { code: 'invalid-argument', text: 'the folder is not there and cannot be made; name one on a disk' },
  ENOTDIR: { code: 'invalid-argument', text: 'a part of the path is a file; name a folder' },
  EEXIST: { code: 'invalid-argument', text: 'the path is a file; name a folder' },
  EISDIR: { code: 'invalid-argument', text: "the log file's name is taken by a folder" },
  ENAMETOOLONG: { code: 'invalid-argument', text: 'the path is too long' },
  ELOOP: { code: 'invalid-argument', text: 'the path has a circle of links' },
  EMFILE: { code: 'unavailable', text: 'too many open files' },
  ENFILE: { code: 'unavailable', text: 'too many open files on this machine' },
  EIO: { code: 'unavailable', text: 'the disk did not read or write; check the device' },
  ERR_WORKER_OUT_OF_MEMORY: {
    code: 'internal',
    text: 'the store ran out of memory; open the folder again',
    retryable: false,
  },
}

/** Maps an error of SQLite, the file system or the store's thread to the closed set. Pure. */
export function toStreamError(error: unknown, context: ErrorContext): StreamError {
  if (StreamError.is(error)) return error
  const native = toNativeError(error)
  const meaning = meaningOf(native)
  const options = { cause: error, details: { ...context, native: native.errcode ?? native.code } }
  if (meaning === undefined) {
    return new StreamError('internal', `${describeContext(context)} failed: ${native.message}`, options)
  }
  return new StreamError(meaning.code, `${describeContext(context)} failed: ${meaning.text} (${native.message})`, {
    ...options,
    ...(meaning.retryable === undefined ? {} : { retryable: meaning.retryable }),
    ambiguous: native.committing === true && isLostWrite(native),
  })
}

function meaningOf(native: NativeError): Meaning | undefined {
  if (native.errcode !== undefined) return bySqlite[native.errcode & 0xff]
  return native.code === undefined ? undefined : byFileSystem[native.code]
}

/** A failed write or sync of the commit itself: the record may be found again after a crash. */
function isLostWrite(native: NativeError): boolean {
  return native.errcode !== undefined && (native.errcode & 0xff) === 10
}

/** The error of a store whose file is no longer at its path. What it stored last may have been lost with it. Pure. */
export function lostFile(file: string): StreamError {
  const problem = `the log is no longer at ${file}: it was deleted, moved or replaced while it was open`
  return new StreamError('unavailable', `${problem}; put it back, or begin anew, and connect again`, {
    retryable: false,
    ambiguous: true,
    details: { file },
  })
}

/** Takes from an error what can be sent between threads. Pure. */
function toNativeError(error: unknown): NativeError {
  if (typeof error !== 'object' || error === null) {
    return { name: 'Error', message: String(error), code: undefined, errcode: undefined }
  }
  const { name, message, code, errcode, committing } = error as Readonly<Record<string, unknown>>
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: typeof message === 'string' ? message : 'no message',
    code: typeof code === 'string' ? code : undefined,
    errcode: typeof errcode === 'number' ? errcode : undefined,
    ...(committing === true ? { committing } : {}),
  }
}

/** Packs an error for the way to the main thread. Pure. */
export function toWire(error: unknown): WireError {
  if (!StreamError.is(error)) return { kind: 'native', error: toNativeError(error) }
  const { code, message, retryable, ambiguous, details } = error
  return { kind: 'stream', code, message, retryable, ambiguous, details }
}

/** Unpacks an error on the main thread, where it is known what was going on. The native cause is an Error again. Pure. */
export function fromWire(wire: WireError, context: ErrorContext): StreamError {
  if (wire.kind === 'native') return toStreamError(Object.assign(new Error(wire.error.message), wire.error), context)
  const { code, message, retryable, ambiguous, details } = wire
  return new StreamError(code, message, { retryable, ambiguous, details: { ...context, ...details } })
}

function describeContext(context: ErrorContext): string {
  const topic = context.topic === undefined ? '' : ` on topic "${context.topic}"`
  const group = context.group === undefined ? '' : ` for group "${context.group}"`
  return `${context.operation}${topic}${group}`
}
