import { embeddedHarnesses } from '../../../conformance/src/embedded.ts'
import type { Harness, NativeError } from '@sluice/conformance'

/** What SQLite and the file system say, and what it must become. */
const nativeErrors: readonly NativeError[] = [
  { error: native('ERR_SQLITE_ERROR', 'database is locked', 5), code: 'unavailable', retryable: true },
  { error: native('ERR_SQLITE_ERROR', 'database disk image is malformed', 11), code: 'corrupt', retryable: false },
  { error: native('ERR_SQLITE_ERROR', 'database or disk is full', 13), code: 'unavailable', retryable: true },
  {
    error: native('ERR_SQLITE_ERROR', 'attempt to write a readonly database', 8),
    code: 'permission-denied',
    retryable: false,
  },
  { error: native('ERR_SQLITE_ERROR', 'string or blob too big', 18), code: 'too-large', retryable: false },
  { error: native('EACCES', 'permission denied'), code: 'permission-denied', retryable: false },
  { error: native('ENOSPC', 'no space left on device'), code: 'unavailable', retryable: true },
  { error: native('ENOTDIR', 'not a directory'), code: 'invalid-argument', retryable: false },
]

function native(code: string, message: string, errcode?: number): Error {
  return Object.assign(new Error(message), { code, ...(errcode === undefined ? {} : { errcode }) })
}

/** The log in memory, in a folder, or with a profile, by the name under which results are shown. */
export function localHarness(name: string): Harness {
  const harness = embeddedHarnesses().find((each) => each.name === name)
  if (harness === undefined) throw new Error(`there is no embedded backend "${name}"`)
  return { ...harness, nativeErrors }
}
