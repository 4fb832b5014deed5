import { describe, expect, it } from 'vitest'
import type { ErrorCode } from '@sluice/driver'
import { toStreamError } from '../src/errors.ts'

const context = { operation: 'send', topic: 'orders' }

function native(name: string, message = 'text', more: object = {}): Error {
  return Object.assign(new Error(message), { name, ...more })
}

const socket = (code: string): Error => native('Error', `it said ${code}`, { code })

/** As it comes over HTTP/2. */
const cancelled = (cause: Error): Error => Object.assign(socket('ERR_HTTP2_STREAM_CANCEL'), { cause })

const table: readonly (readonly [Error, ErrorCode, retryable: boolean, ambiguous: boolean])[] = [
  [native('ResourceNotFoundException'), 'not-found', false, false],
  [native('ResourceInUseException'), 'conflict', false, false],
  [native('InvalidArgumentException'), 'invalid-argument', false, false],
  [
    native('ValidationException', "Value at 'data' failed: Member must have length less than or equal to 1048576"),
    'too-large',
    false,
    false,
  ],
  [native('InvalidArgumentException', 'The record exceeds the size of the stream'), 'too-large', false, false],
  [
    native('ValidationException', 'Member must have length less than or equal to 256'),
    'invalid-argument',
    false,
    false,
  ],
  [native('ProvisionedThroughputExceededException'), 'throttled', true, false],
  [native('InvalidSignatureException', 'Signature expired: 1 is now earlier than 2'), 'unavailable', true, false],
  [native('InvalidSignatureException', 'Signature not yet current: 2 is still later'), 'unavailable', true, false],
  [native('SyntaxError', 'Unexpected token <', { $metadata: { httpStatusCode: 200 } }), 'unavailable', true, true],
  [native('SyntaxError', 'Unexpected token s', { $metadata: { httpStatusCode: 429 } }), 'throttled', true, false],
  [native('LimitExceededException', 'Rate exceeded for stream x'), 'throttled', true, false],
  [
    native('LimitExceededException', 'This request would exceed the shard limit for the account 0 in eu-west-1.'),
    'throttled',
    false,
    false,
  ],
  [native('ThrottlingException'), 'throttled', true, false],
  [native('AccessDeniedException'), 'permission-denied', false, false],
  [native('AccessDeniedException', 'The security token has expired'), 'unauthenticated', false, false],
  [native('ExpiredTokenException'), 'unauthenticated', false, false],
  [native('InvalidSignatureException'), 'unauthenticated', false, false],
  [native('CredentialsProviderError'), 'unauthenticated', false, false],
  [native('Error', 'Region is missing'), 'invalid-argument', false, false],
  [native('KMSDisabledException'), 'conflict', false, false],
  [native('InternalFailure'), 'unavailable', true, true],
  [native('Whatever', 'x', { $metadata: { httpStatusCode: 503 } }), 'unavailable', true, true],
  [native('Whatever'), 'internal', false, false],
  [native('TimeoutError'), 'timeout', true, true],
  [native('TimeoutError', 'socket hang up', { code: 'ECONNRESET' }), 'unavailable', true, true],
  [native('TimeoutError', 'write EPIPE', { code: 'EPIPE' }), 'unavailable', true, true],
  [native('TimeoutError', 'Unexpected error: http2 request did not get a response'), 'unavailable', true, true],
  [native('TimeoutError', 'Stream timed out because of no activity for 10000 ms'), 'timeout', true, true],
  [cancelled(socket('ERR_SSL_WRONG_VERSION_NUMBER')), 'unavailable', false, false],
  [socket('ECONNREFUSED'), 'unavailable', true, false],
  [socket('ENOTFOUND'), 'unavailable', true, false],
  [socket('ECONNRESET'), 'unavailable', true, true],
  [socket('EHOSTUNREACH'), 'unavailable', true, true],
  [native('TypeError', 'Cannot redefine property: $response'), 'unavailable', true, true],
  [socket('ERR_HTTP2_STREAM_ERROR'), 'unavailable', true, true],
  [cancelled(socket('ENOTFOUND')), 'unavailable', true, false],
  [cancelled(socket('DEPTH_ZERO_SELF_SIGNED_CERT')), 'unavailable', false, false],
  [native('UnknownOperationException'), 'invalid-argument', false, false],
  [native('UnknownError', '', { $metadata: { httpStatusCode: 404 } }), 'invalid-argument', false, false],
  [native('Unknown', 'UnknownError', { $metadata: { httpStatusCode: 404 } }), 'invalid-argument', false, false],
  [native('Error', 'Parse Error: Expected HTTP/', { code: 'HPE_INVALID_CONSTANT' }), 'unavailable', true, true],
  [socket('ERR_TLS_CERT_ALTNAME_INVALID'), 'unavailable', false, false],
  // As Node's handler and the decoder of events have it, without a code.
  [native('Error', 'Frame type id 1 in stream id 3 has failed with code 2.'), 'unavailable', true, true],
  [native('Error', 'Unexpected error: http2 request did not get a response'), 'unavailable', true, true],
  [native('Error', 'cannot acquire reference to destroyed session.'), 'unavailable', true, true],
  [native('Error', 'Truncated event message received.'), 'unavailable', true, true],
  [native('Error', 'The message checksum (1) did not match the expected value of 2'), 'unavailable', true, true],
  [native('UnknownError', '', { $metadata: { httpStatusCode: 403 } }), 'permission-denied', false, false],
  [native('UnknownError', '', { $metadata: { httpStatusCode: 407 } }), 'unauthenticated', false, false],
  [native('UnknownError', '', { $metadata: { httpStatusCode: 408 } }), 'timeout', true, true],
  [native('UnknownError', '', { $metadata: { httpStatusCode: 413 } }), 'too-large', false, false],
  [native('UnknownError', '', { $metadata: { httpStatusCode: 429 } }), 'throttled', true, false],
  [native('IncompleteSignatureException'), 'unauthenticated', false, false],
  [native('RequestExpiredException'), 'unavailable', true, false],
  [native('TransactionConflictException'), 'unavailable', true, false],
]

describe('an error of the SDK', () => {
  it.each(table)('%s becomes %s', (error, code, retryable, ambiguous) => {
    const mapped = toStreamError(error, context)
    expect({ code: mapped.code, retryable: mapped.retryable, ambiguous: mapped.ambiguous }).toEqual({
      code,
      retryable,
      ambiguous,
    })
    expect(mapped.message).toContain('send on topic "orders" failed')
    expect(mapped.cause).toBe(error)
  })

  it.each([
    ['Stream orders under account 123456789012 not found.', /the stream does not exist.*create: true/],
    ['Consumer g, under stream orders is not active.', /the fan-out consumer is gone or not active yet/],
    ['Consumer g, under stream orders not found.', /the fan-out consumer is gone or not active yet/],
    ['Shard shardId-000000000000 in stream orders under account 123456789012 does not exist', /: it does not exist/],
    ['Requested resource not found', /: it does not exist/],
  ])('that something is missing says what: %s', (message, told) => {
    const mapped = toStreamError(native('ResourceNotFoundException', message), context)
    expect(mapped.message).toMatch(told)
    expect([mapped.code, mapped.retryable]).toEqual(['not-found', false])
  })

  it('that the policy forbids it names the README that lists what is needed', () => {
    expect(toStreamError(native('AccessDeniedException'), context).message).toContain('README of @sluice/kinesis')
  })

  it('that shows the whole request as it was signed shows no session token', () => {
    const text = `The request signature we calculated does not match. The Canonical String for this request should have been\n'POST\nx-amz-security-token:geheim'`
    expect(toStreamError(native('InvalidSignatureException', text), context).message).not.toContain('geheim')
    const header = `'geheim' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4 geheim'.`
    expect(toStreamError(native('IncompleteSignatureException', header), context).message).not.toContain('geheim')
  })
})
