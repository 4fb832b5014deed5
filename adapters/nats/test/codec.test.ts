import { MsgHdrsImpl } from '@nats-io/transport-node'
import { describe, expect, it } from 'vitest'
import type { OutgoingRecord, Position } from '@sluice/driver'
import {
  comparePositions,
  decodeName,
  decodeRecord,
  encodeName,
  encodeRecord,
  measureRecord,
  parseDelivery,
  toSequence,
} from '../src/codec.ts'
import type { DecodedRecord } from '../src/codec.ts'

function record(changes: Partial<OutgoingRecord> = {}): OutgoingRecord {
  return {
    id: '01890000-0000-7000-8000-000000000000',
    key: undefined,
    headers: {},
    body: new TextEncoder().encode('body'),
    producedAtMs: 1_700_000_000_000,
    expiresAtMs: undefined,
    partition: undefined,
    ...changes,
  }
}

function through(sent: OutgoingRecord): DecodedRecord {
  const { block, body } = encodeRecord(sent)
  return decodeRecord(Buffer.from(block, 'latin1'), body)
}

/** Headers as the client writes them. */
function blockOf(...lines: readonly (readonly [string, string])[]): Uint8Array {
  const headers = new MsgHdrsImpl()
  for (const [name, value] of lines) headers.append(name, value)
  return headers.encode()
}

const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`header-${at}`, 'ü'.repeat(512)]))

const records: readonly (readonly [string, Partial<OutgoingRecord>])[] = [
  ['a bare record', {}],
  ['a key', { key: 'customer-7' }],
  ['an empty key', { key: '' }],
  ['a key with everything in it', { key: ' 100 %,\r\n\tключ\0🙂 ' }],
  ['an expiry', { expiresAtMs: 1_700_000_000_001 }],
  ['an expiry before 1970', { expiresAtMs: -1 }],
  ['headers', { headers: { one: 'a', 'two.of-them_': '', traceparent: '00-0af7-b7ad-01' } }],
  ['headers that are not ASCII', { headers: { plain: '50 % off', greeting: 'Grüße', lines: 'a\nb', outer: ' a ' } }],
  ['an empty body', { body: new Uint8Array(0) }],
  ['more headers than a server takes', { headers: many, key: 'k' }],
]

describe('a record', () => {
  it.each(records)('%s comes back as it was', (_name, changes) => {
    const sent = record(changes)
    const { id, key, headers, expiresAtMs, body } = through(sent)
    expect({ id, key, headers, expiresAtMs }).toEqual({
      id: sent.id,
      key: sent.key,
      headers: sent.headers,
      expiresAtMs: sent.expiresAtMs,
    })
    expect(Buffer.from(body).toString('hex')).toBe(Buffer.from(sent.body).toString('hex'))
  })

  it.each(records)('%s takes as many bytes as measured', (_name, changes) => {
    const sent = record(changes)
    const { block, body } = encodeRecord(sent)
    expect(measureRecord(sent)).toBe(Buffer.byteLength(block) + body.length)
    expect(block).toMatch(/^[\x20-\x7e\r\n]*$/)
    expect(block.length).toBeLessThan(65_536)
  })
})

describe('a message of another program', () => {
  it('has neither id nor key without the headers for them', () => {
    const body = new Uint8Array([1])
    expect(decodeRecord(undefined, body)).toEqual({ id: undefined, key: undefined, headers: {}, body })
  })

  it('keeps its headers, in lower case and joined, but for those of the server', () => {
    const block = blockOf(
      ['Content-Type', 'text/plain'],
      ['X-Many', 'a'],
      ['X-Many', 'b'],
      ['X-Greeting', 'Grüße'],
      ['Nats-Expected-Stream', 'S'],
      ['sluice-key', '100%'],
      ['sluice-expires-at', 'soon'],
    )
    const { key, headers, expiresAtMs } = decodeRecord(block, new Uint8Array(0))
    expect(headers).toEqual({ 'content-type': 'text/plain', 'x-many': 'a, b', 'x-greeting': 'Grüße' })
    expect([key, expiresAtMs]).toEqual(['100%', undefined])
  })

  it('keeps its body when it only seems to hold headers', () => {
    const body = new TextEncoder().encode('no json')
    expect(decodeRecord(blockOf(['sluice-headers', '4']), body).body).toBe(body)
    expect(decodeRecord(blockOf(['sluice-headers', '400']), body).body).toBe(body)
  })
})

describe('headers', () => {
  it.each([
    ['no blanks around values', 'NATS/1.0\r\nsluice-key:k\r\none:a\r\n\r\n', 'k', { one: 'a' }],
    ['blanks around values', 'NATS/1.0\r\nsluice-key:  k \r\none:\ta b \r\n\r\n', 'k', { one: 'a b' }],
    ['colons in values', 'NATS/1.0\r\nsluice-key: a:b\r\n\r\n', 'a:b', {}],
    ['a status before them', 'NATS/1.0 100 Idle\r\nsluice-key: k\r\n\r\n', 'k', {}],
    ['names of what every object has', 'NATS/1.0\r\nconstructor: a\r\n\r\n', undefined, { constructor: 'a' }],
    ['a line that is none', 'NATS/1.0\r\nnonsense\r\nsluice-key: k\r\n\r\n', 'k', {}],
    ['an end too soon', 'NATS/1.0\r\nsluice-key: k', 'k', {}],
    ['nothing', '', undefined, {}],
  ])('with %s are read', (_name, block, key, headers) => {
    expect(decodeRecord(Buffer.from(block), new Uint8Array(0))).toMatchObject({ key, headers })
  })
})

describe('a delivery', () => {
  it.each([
    ['$JS.ACK.S.C.2.30.4.1700000000123456789.5'],
    ['$JS.ACK._.hash.S.C.2.30.4.1700000000123456789.5.random'],
    ['$JS.ACK.hub.hash.S.C.2.30.4.1700000000123456789.5'],
  ])('%s', (reply) => {
    expect(parseDelivery(reply)).toEqual({
      deliveries: 2,
      streamSequence: 30,
      consumerSequence: 4,
      timeMs: 1_700_000_000_123,
    })
  })

  it.each([[undefined], ['_INBOX.abc'], ['$JS.ACK.S.C.2'], ['$JS.ACK.S.C.x.y.4.1.5']])('%s is none', (reply) => {
    expect(parseDelivery(reply)).toBeUndefined()
  })
})

describe('positions', () => {
  it('are compared as numbers, not as text', () => {
    expect(comparePositions('9' as Position, '10' as Position)).toBeLessThan(0)
    expect(comparePositions('10' as Position, '10' as Position)).toBe(0)
  })

  it.each([['-1'], ['1.5'], [''], ['abc'], ['99999999999999999']])('"%s" is none', (text) => {
    expect(() => toSequence(text as Position, '3')).toThrow(/no position of partition 3/)
  })
})

describe('names', () => {
  it.each([
    ['orders', 'orders'],
    ['order_items-2', 'order_items-2'],
    ['orders.dead-letters', 'orders=2Edead-letters'],
    ['a b/*>=\\', 'a=20b=2F=2A=3E=3D=5C'],
    ['Grüße', 'Gr=C3=BC=C3=9Fe'],
  ])('%s becomes %s and comes back', (name, token) => {
    expect(encodeName(name)).toBe(token)
    expect(decodeName(token)).toBe(name)
  })
})
