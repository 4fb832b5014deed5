import { expect, it } from 'vitest'
import { systemErrorCode } from '@sluice/driver'

const native = (code: string, cause?: unknown): Error => Object.assign(new Error(code, { cause }), { code })

it.each([
  ['ENOENT', 'not-found'],
  ['EACCES', 'permission-denied'],
  ['EROFS', 'permission-denied'],
  ['EEXIST', 'already-exists'],
  ['ENOTDIR', 'invalid-argument'],
  ['ENOSPC', 'unavailable'],
  ['ECONNREFUSED', 'unavailable'],
  ['ETIMEDOUT', 'timeout'],
])('%s is %s, on the error itself and on a cause', (code, expected) => {
  expect(systemErrorCode(native(code))).toBe(expected)
  expect(systemErrorCode(new TypeError('fetch failed', { cause: native(code) }))).toBe(expected)
})

it('knows nothing of other errors, of what is no error, and of a circle of causes', () => {
  const circle = native('ERR_OTHER')
  circle.cause = circle
  for (const other of [new Error('x'), native('ERR_INVALID_ARG_TYPE'), native('constructor'), circle, 'ENOENT', null])
    expect(systemErrorCode(other)).toBeUndefined()
})
