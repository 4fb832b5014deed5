import type { ErrorCode } from './errors.ts'

/** By the operating system's code. Source: https://nodejs.org/api/errors.html#common-system-errors */
const codes: ReadonlyMap<unknown, ErrorCode> = new Map<unknown, ErrorCode>([
  ['ENOENT', 'not-found'],
  ['EEXIST', 'already-exists'],
  ['EACCES', 'permission-denied'],
  ['EPERM', 'permission-denied'],
  ['EROFS', 'permission-denied'],
  ['ENOTDIR', 'invalid-argument'],
  ['EISDIR', 'invalid-argument'],
  ['ELOOP', 'invalid-argument'],
  ['ENAMETOOLONG', 'invalid-argument'],
  ['ENOSPC', 'unavailable'],
  ['EDQUOT', 'unavailable'],
  ['EMFILE', 'unavailable'],
  ['ENFILE', 'unavailable'],
  ['EIO', 'unavailable'],
  ['ECONNREFUSED', 'unavailable'],
  ['ECONNRESET', 'unavailable'],
  ['EHOSTUNREACH', 'unavailable'],
  ['ENETUNREACH', 'unavailable'],
  ['ENOTFOUND', 'unavailable'],
  ['EAI_AGAIN', 'unavailable'],
  ['ETIMEDOUT', 'timeout'],
])

/**
 * What an error of the file system or the network is in the closed set, by its own code or that of the nearest cause
 * that has one (`fetch` hides it there). `undefined`: it is no such error.
 */
export function systemErrorCode(error: unknown): ErrorCode | undefined {
  let at = error
  // Nobody nests deeper, and a chain may be a circle.
  for (let depth = 0; depth < 8 && typeof at === 'object' && at !== null; depth++) {
    const found = 'code' in at ? codes.get(at.code) : undefined
    if (found !== undefined) return found
    at = 'cause' in at ? at.cause : undefined
  }
  return undefined
}
