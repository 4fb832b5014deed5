import { describe, expect, it } from 'vitest'
import { StreamError } from '@sluice/driver'
import type { ErrorCode } from '@sluice/driver'
import { fromWire, toStreamError, toWire } from '../src/errors.ts'

const context = { operation: 'send', topic: 't', group: 'g' }

function sqlite(errcode: number, extra: object = {}): Error {
  return Object.assign(new Error('native text'), { code: 'ERR_SQLITE_ERROR', errcode, ...extra })
}

function system(code: string): Error {
  return Object.assign(new Error(`${code}: native text`), { code })
}

const table: readonly (readonly [string, Error, ErrorCode, boolean, boolean])[] = [
  ['SQLITE_PERM', sqlite(3), 'permission-denied', false, false],
  ['SQLITE_BUSY', sqlite(5), 'unavailable', true, false],
  ['SQLITE_BUSY_SNAPSHOT', sqlite(517), 'unavailable', true, false],
  ['SQLITE_LOCKED', sqlite(6), 'unavailable', true, false],
  ['SQLITE_NOMEM', sqlite(7), 'unavailable', true, false],
  ['SQLITE_READONLY', sqlite(8), 'permission-denied', false, false],
  ['SQLITE_IOERR_READ', sqlite(266), 'unavailable', true, false],
  ['SQLITE_IOERR_FSYNC in a commit', sqlite(1034, { committing: true }), 'unavailable', true, true],
  ['SQLITE_FULL in a commit', sqlite(13, { committing: true }), 'unavailable', true, false],
  ['SQLITE_CORRUPT', sqlite(11), 'corrupt', false, false],
  ['SQLITE_FULL', sqlite(13), 'unavailable', true, false],
  ['SQLITE_CANTOPEN', sqlite(14), 'unavailable', true, false],
  ['SQLITE_PROTOCOL', sqlite(15), 'unavailable', true, false],
  ['SQLITE_TOOBIG', sqlite(18), 'too-large', false, false],
  ['SQLITE_CONSTRAINT', sqlite(19), 'internal', false, false],
  ['SQLITE_NOTADB', sqlite(26), 'corrupt', false, false],
  ['EACCES', system('EACCES'), 'permission-denied', false, false],
  ['EROFS', system('EROFS'), 'permission-denied', false, false],
  ['ENOSPC', system('ENOSPC'), 'unavailable', true, false],
  ['ENOENT', system('ENOENT'), 'invalid-argument', false, false],
  ['ENOTDIR', system('ENOTDIR'), 'invalid-argument', false, false],
  ['EEXIST', system('EEXIST'), 'invalid-argument', false, false],
  ['EMFILE', system('EMFILE'), 'unavailable', true, false],
  ['ERR_WORKER_OUT_OF_MEMORY', system('ERR_WORKER_OUT_OF_MEMORY'), 'internal', false, false],
  ['anything else', new TypeError('odd'), 'internal', false, false],
]

describe('native errors', () => {
  it.each(table)('%s', (_, native, code, retryable, ambiguous) => {
    const error = toStreamError(native, context)
    expect({ code: error.code, retryable: error.retryable, ambiguous: error.ambiguous }).toEqual({
      code,
      retryable,
      ambiguous,
    })
    expect(error.cause).toBe(native)
    expect(error.message).toContain('send on topic "t" for group "g"')
    expect(error.message).toContain(native.message)
  })

  it.each(table)('%s comes over from the thread as it was', (_, native, code, retryable, ambiguous) => {
    const error = fromWire(structuredClone(toWire(native)), context)
    expect({ code: error.code, retryable: error.retryable, ambiguous: error.ambiguous }).toEqual({
      code,
      retryable,
      ambiguous,
    })
    expect(error.cause).toBeInstanceOf(Error)
    expect(error.cause).toMatchObject({ message: native.message })
  })

  it('leaves a StreamError alone', () => {
    const error = new StreamError('conflict', 'no')
    expect(toStreamError(error, context)).toBe(error)
    const over = fromWire(structuredClone(toWire(error)), context)
    expect(over).toMatchObject({ code: 'conflict', message: 'no', retryable: false, details: context })
  })

  it('takes what is not an error', () => {
    expect(toStreamError('text', context)).toMatchObject({ code: 'internal' })
  })
})
