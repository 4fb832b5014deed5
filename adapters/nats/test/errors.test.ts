import { errors as clientErrors } from '@nats-io/transport-node'
import { JetStreamApiError } from '@nats-io/jetstream'
import { describe, expect, it } from 'vitest'
import { StreamError } from '@sluice/driver'
import type { ErrorCode } from '@sluice/driver'
import {
  DisconnectedError,
  isConsumerMissing,
  isStreamMissing,
  isUnanswered,
  isWrongSequence,
  toStreamError,
} from '../src/errors.ts'

const context = { operation: 'send', topic: 't', group: 'g' }

function api(errCode: number, code: number): Error {
  return new JetStreamApiError({ err_code: errCode, code, description: 'native text' })
}

function socket(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code })
}

const noResponders = new clientErrors.RequestError('no responders', {
  cause: new clientErrors.NoRespondersError('some.subject'),
})

const table: readonly (readonly [string, unknown, ErrorCode, boolean, boolean])[] = [
  ['a request under way at the end', new clientErrors.RequestError('connection closed'), 'closed', false, false],
  ['wrong password', new clientErrors.AuthorizationError('Authorization Violation'), 'unauthenticated', false, false],
  ['expired', new clientErrors.UserAuthenticationExpiredError('expired'), 'unauthenticated', false, false],
  [
    'no permission',
    new clientErrors.PermissionViolationError('Permissions Violation', 'publish', 't.0'),
    'permission-denied',
    false,
    false,
  ],
  ['no answer', new clientErrors.TimeoutError(), 'timeout', true, true],
  ['nobody there', noResponders, 'unavailable', true, false],
  ['refused', new clientErrors.ConnectionError('connection refused'), 'unavailable', true, false],
  [
    'a server without TLS',
    new clientErrors.ConnectionError("server does not support 'tls'"),
    'unavailable',
    false,
    false,
  ],
  ['ECONNREFUSED', socket('ECONNREFUSED'), 'unavailable', true, false],
  ['ENOTFOUND', socket('ENOTFOUND'), 'unavailable', true, false],
  ['another host in the certificate', socket('ERR_TLS_CERT_ALTNAME_INVALID'), 'unavailable', false, false],
  ['an authority not known', socket('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'unavailable', false, false],
  ['cut', new DisconnectedError(), 'unavailable', true, true],
  ['closed', new clientErrors.ClosedConnectionError(), 'closed', false, false],
  ['draining', new clientErrors.DrainingConnectionError(), 'closed', false, false],
  [
    'over max_payload',
    clientErrors.InvalidArgumentError.format('payload', 'max_payload size exceeded'),
    'too-large',
    false,
    false,
  ],
  ['a bad argument', clientErrors.InvalidArgumentError.format('x', 'is wrong'), 'invalid-argument', false, false],
  ['stream not found', api(10059, 404), 'not-found', false, false],
  ['consumer not found', api(10014, 404), 'not-found', false, false],
  ['subjects overlap', api(10065, 400), 'conflict', false, false],
  ['wrong last sequence', api(10071, 400), 'conflict', false, false],
  ['stream is full', api(10077, 503), 'throttled', true, false],
  ['insufficient resources', api(10023, 503), 'throttled', true, false],
  ['over max_msg_size', api(10054, 400), 'too-large', false, false],
  ['headers over 64 KiB', api(10097, 400), 'too-large', false, false],
  ['JetStream not enabled for the account', api(10039, 503), 'unsupported', false, false],
  ['JetStream not enabled', api(10076, 503), 'unsupported', false, false],
  ['no meta leader', api(10008, 503), 'unavailable', true, false],
  ['an unknown code with status 503', api(19_999, 503), 'unavailable', true, false],
  ['an unknown code with status 400', api(19_999, 400), 'invalid-argument', false, false],
  ['an unknown code with status 500', api(19_999, 500), 'internal', false, false],
  ['something else', new TypeError('odd'), 'internal', false, false],
  ['no error at all', 'odd', 'internal', false, false],
]

describe('toStreamError', () => {
  it.each(table)('%s', (_name, error, code, retryable, ambiguous) => {
    const mapped = toStreamError(error, context)
    expect([mapped.code, mapped.retryable, mapped.ambiguous]).toEqual([code, retryable, ambiguous])
    expect(mapped.cause).toBe(error)
    expect(mapped.message).toContain('send on topic "t" for group "g" failed')
  })

  it('looks into what wraps another error', () => {
    const wrapped = new clientErrors.ConnectionError('failed', { cause: socket('ERR_TLS_CERT_ALTNAME_INVALID') })
    expect(toStreamError(wrapped, context)).toMatchObject({ code: 'unavailable', retryable: false })
  })

  it('leaves a StreamError as it is', () => {
    const error = new StreamError('throttled', 'slow down')
    expect(toStreamError(error, context)).toBe(error)
  })
})

describe('what the answers of the server mean', () => {
  it('tells a lost race, a missing stream, a missing consumer and silence apart', () => {
    const errors = [api(10071, 400), api(10164, 400), api(10059, 404), api(10014, 404), noResponders]
    expect(errors.map(isWrongSequence)).toEqual([true, true, false, false, false])
    expect(errors.map(isStreamMissing)).toEqual([false, false, true, false, false])
    expect(errors.map(isConsumerMissing)).toEqual([false, false, true, true, false])
    expect(errors.map(isUnanswered)).toEqual([false, false, false, false, true])
  })
})
