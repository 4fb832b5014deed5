import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { OutgoingRecord } from '@sluice/driver'
import { aggregate, pieceOf } from '../src/aggregate.ts'
import { decodeRecords, encodeRecord, hashOf, measureRecord, partitionKeyOf, toPiece } from '../src/codec.ts'
import type { Encoding } from '../src/config.ts'
import { outgoing } from './fixtures.ts'

const many = Object.fromEntries(Array.from({ length: 64 }, (_, at) => [`header-${at}`, 'ü'.repeat(512)]))
const json = { 'content-type': 'application/json' }

const records: readonly (readonly [string, Partial<OutgoingRecord>])[] = [
  ['a bare record', {}],
  ['no key', { key: undefined }],
  ['an empty key', { key: '' }],
  ['a key with everything in it', { key: ' 100 %,\r\n\tключ\0🙂 ' }],
  ['an expiry', { expiresAtMs: 1_700_000_000_001 }],
  ['an expiry before 1970', { expiresAtMs: -1 }],
  ['an expiry at the first time that there is', { expiresAtMs: -8_640_000_000_000_000 }],
  ['an expiry at the last', { expiresAtMs: 8_640_000_000_000_000 }],
  ['headers', { headers: { one: 'a', 'two.of-them_': '', traceparent: '00-0af7-b7ad-01', tracestate: 'a=b' } }],
  ['headers that are not ASCII', { headers: { greeting: 'Grüße', lines: 'a\nb', outer: ' a ' } }],
  ['many headers', { headers: many }],
  ['an empty body', { body: new Uint8Array(0) }],
  ['bytes that are no text', { body: new Uint8Array([0xff, 0, 0x80, 0xfe]) }],
  ['JSON of which nothing says so', { body: Buffer.from('{"a":1}') }],
  ['JSON', { headers: json, body: Buffer.from('{"big":12345678901234567890,"f":1.0}') }],
  ['what calls itself JSON and is none', { headers: json, body: Buffer.from('{"a":') }],
  ['text that looks like JSON', { headers: { 'content-type': 'text/plain' }, body: Buffer.from('"a"') }],
]

describe.each<Encoding>(['kpl', 'cloudevents-json'])('a record in %s', (encoding) => {
  it.each(records)('%s comes back as it was', (_name, changes) => {
    const sent = outgoing(changes)
    const partitionKey = partitionKeyOf(sent.key)
    const [read, ...others] = decodeRecords(encoding, partitionKey, encodeRecord(encoding, partitionKey, sent))
    expect(others).toEqual([])
    expect([read?.id, read?.headers]).toEqual([sent.id, sent.headers])
    expect([read?.key, read?.expiresAtMs]).toEqual([sent.key, sent.expiresAtMs])
    expect(Buffer.from(read?.body ?? []).toString('hex')).toBe(Buffer.from(sent.body).toString('hex'))
  })

  it.each(records)('%s takes as many bytes as measured', (_name, changes) => {
    const sent = outgoing(changes)
    const partitionKey = partitionKeyOf(sent.key)
    const bytes = encodeRecord(encoding, partitionKey, sent).length + Buffer.byteLength(partitionKey)
    expect(measureRecord(encoding, sent)).toBe(bytes)
  })
})

describe('a raw record', () => {
  it('is its body, and its key the partition key', () => {
    const sent = outgoing({ body: Buffer.from('as it is') })
    expect(encodeRecord('raw', 'customer-7', sent).toString()).toBe('as it is')
    expect(measureRecord('raw', sent)).toBe('as it is'.length + 'customer-7'.length)
    const [read] = decodeRecords('raw', 'customer-7', Buffer.from('as it is'))
    expect(read).toMatchObject({ id: undefined, key: 'customer-7', headers: {} })
  })

  it('that is a CloudEvent stays one where raw is written, and is read as one elsewhere', () => {
    const event = Buffer.from('{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}}')
    expect(Buffer.from(decodeRecords('raw', 'k', event)[0]?.body ?? [])).toEqual(event)
    const [read] = decodeRecords('kpl', 'k', event)
    expect(read).toMatchObject({ id: '1', key: 'k', headers: { 'ce-type': 't', 'ce-source': '/s' } })
    expect(Buffer.from(read?.body ?? []).toString()).toBe('{"a":1}')
  })

  const magic = Buffer.from([0xf3, 0x89, 0x9a, 0xc2])
  const two = aggregate('other', [pieceOf(Buffer.from('a'), []), pieceOf(Buffer.from('b'), [])])

  it.each([
    ['without a record', Buffer.concat([magic, createHash('md5').update('').digest()])],
    ['of two records of another key', two],
  ])('whose body is an aggregate %s is read as that body, under its own key', (_name, body) => {
    const sent = outgoing({ body: new Uint8Array(body) })
    const data = encodeRecord('raw', 'customer-7', sent)
    expect(measureRecord('raw', sent)).toBe(data.length + 'customer-7'.length)
    const read = decodeRecords('raw', 'customer-7', data)
    expect(read.map((one) => [one.key, Buffer.from(one.body)])).toEqual([['customer-7', body]])
  })

  it.each([
    ['begins like an aggregate', Buffer.concat([magic, Buffer.alloc(64)])],
    ['is an aggregate cut off', two.subarray(0, -1)],
  ])('whose body %s is its body alone', (_name, body) => {
    const sent = outgoing({ body })
    expect(encodeRecord('raw', 'customer-7', sent)).toEqual(body)
    expect(measureRecord('raw', sent)).toBe(body.length + 'customer-7'.length)
  })
})

it.each(['', '-', '+1', '1.5', '1e3', '8640000000000001', '99999999999999999'])(
  'an expiry of another program that is no time is none: "%s"',
  (text) => {
    const data = aggregate('customer-7', [pieceOf(Buffer.from('a'), [['sluice-expires-at', text]])])
    expect(decodeRecords('kpl', 'customer-7', data)).toMatchObject([{ expiresAtMs: undefined }])
  },
)

it('of 1 MiB a CloudEvent takes 1 023 KiB of JSON, and 767 KiB of other bytes', () => {
  const sizes = [Buffer.from(`"${'x'.repeat(1_023 * 1_024 - 2)}"`), Buffer.alloc(767 * 1_024)].map((body) =>
    measureRecord('cloudevents-json', outgoing({ body })),
  )
  expect(sizes.map((size) => Math.ceil(size / 1_024))).toEqual([1_024, 1_023])
})

it('puts several records of a key into one, in order', () => {
  const sent = [outgoing({ id: 'a' }), outgoing({ id: 'b', body: Buffer.from('2') }), outgoing({ id: 'c' })] as const
  const data = aggregate('customer-7', sent.map(toPiece))
  expect(decodeRecords('kpl', 'customer-7', data).map(({ id }) => id)).toEqual(['a', 'b', 'c'])
})

it('gives the empty key and no key partition keys that are none of theirs', () => {
  expect(partitionKeyOf('')).not.toBe('')
  expect(partitionKeyOf(undefined)).not.toBe(partitionKeyOf(undefined))
})

it('finds the shard of a key by its MD5', () => {
  expect(hashOf('a')).toBe(0x0cc175b9c0f1b6a831c399e269772661n)
})

describe('a CloudEvent of another program', () => {
  const event = { specversion: '1.0', id: '1', source: 'shop', type: 'order', data: { a: 1 } }

  it('has the key that it names, else the partition key: without one its order would be lost', () => {
    const keyOf = (more: object): string | undefined =>
      decodeRecords('kpl', 'customer-7', Buffer.from(JSON.stringify({ ...event, ...more })))[0]?.key
    expect(keyOf({})).toBe('customer-7')
    expect(keyOf({ partitionkey: 'customer-8' })).toBe('customer-8')
  })
})
