import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { aggregate, aggregatedBytes, disaggregate, emptyAggregateBytes, pieceOf } from '../src/aggregate.ts'

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString()

/** A record as `aws-kinesis-agg` takes it. */
interface Theirs {
  readonly partitionKey: string
  readonly data: Buffer
  readonly explicitHashKey?: string
}

/** The part of `aws-kinesis-agg` that is used here; its own types want another SDK. */
interface Agg {
  aggregate(
    records: readonly Theirs[],
    onEncoded: (encoded: { readonly data: Buffer }, next: () => void) => void,
    onEnd: () => void,
    onError: (error: Error) => void,
  ): void
  deaggregateSync(
    record: { readonly data: string },
    checksums: boolean,
    done: (
      error: Error | null | undefined,
      records?: readonly { readonly partitionKey: string; readonly data: string }[],
    ) => void,
  ): void
}
const { default: agg } = (await import('aws-kinesis-agg')) as unknown as { readonly default: Agg }

/** What `aws-kinesis-agg` writes. */
function theirs(records: readonly Theirs[]): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    agg.aggregate(
      records,
      ({ data }, next) => {
        resolve(data)
        next()
      },
      () => undefined,
      reject,
    ),
  )
}

/** What `aws-kinesis-agg` reads. */
function readByThem(data: Buffer): Promise<readonly { readonly partitionKey: string; readonly data: string }[]> {
  return new Promise((resolve, reject) =>
    agg.deaggregateSync({ data: data.toString('base64') }, true, (error, records) =>
      error === undefined || error === null ? resolve(records ?? []) : reject(error),
    ),
  )
}

describe('aws-kinesis-agg', () => {
  it('writes what is read here, and what is written here byte for byte', async () => {
    const records = ['eins', 'zwei', '', 'Grüße'].map((data) => ({ partitionKey: 'k', data: Buffer.from(data) }))
    const written = await theirs(records)
    expect(disaggregate(written)?.map(({ partitionKey, data }) => [partitionKey, text(data)])).toEqual(
      records.map(({ partitionKey, data }) => [partitionKey, text(data)]),
    )
    const ours = aggregate(
      'k',
      records.map(({ data }) => pieceOf(data, [])),
    )
    expect(ours.toString('hex')).toBe(written.toString('hex'))
  })

  it('writes several keys and hash keys, which are read here', async () => {
    const written = await theirs([
      { partitionKey: 'a', data: Buffer.from('1') },
      { partitionKey: 'b', data: Buffer.from('2'), explicitHashKey: '170141183460469231731687303715884105728' },
      { partitionKey: 'a', data: Buffer.from('3') },
    ])
    expect(disaggregate(written)?.map((one) => [one.partitionKey, one.explicitHashKey, text(one.data)])).toEqual([
      ['a', undefined, '1'],
      ['b', '170141183460469231731687303715884105728', '2'],
      ['a', undefined, '3'],
    ])
  })

  it('reads what is written here, and passes the tags over', async () => {
    const data = aggregate('schlüssel', [
      pieceOf(Buffer.from('one'), [['sluice-id', '1']]),
      pieceOf(Buffer.from('two'), []),
    ])
    const read = await readByThem(data)
    expect(read.map((one) => [one.partitionKey, Buffer.from(one.data, 'base64').toString()])).toEqual([
      ['schlüssel', 'one'],
      ['schlüssel', 'two'],
    ])
  })
})

describe('an aggregate', () => {
  it('comes back as it was, and is as large as foretold, whatever is in it', () => {
    const one = fc.record({
      data: fc.uint8Array({ maxLength: 300 }),
      tags: fc.array(fc.tuple(fc.string(), fc.string({ unit: 'binary', maxLength: 200 })), { maxLength: 5 }),
    })
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.array(one, { maxLength: 20 }), (key, records) => {
        const pieces = records.map(({ data, tags }) => pieceOf(data, tags))
        const data = aggregate(key, pieces)
        const expected = pieces.reduce((sum, piece) => sum + aggregatedBytes(piece.bytes), 0)
        expect(data.length).toBe(emptyAggregateBytes(Buffer.byteLength(key)) + expected)
        const read = disaggregate(data) ?? []
        expect(read.map((each) => [each.partitionKey, [...each.data], each.tags])).toEqual(
          records.map((each) => [key, [...each.data], each.tags]),
        )
      }),
    )
  })

  const whole = aggregate('k', [pieceOf(Buffer.from('x'), [])])
  const rewritten = (body: Buffer): Buffer =>
    Buffer.concat([whole.subarray(0, 4), body, createHash('md5').update(body).digest()])

  it.each([
    ['empty', Buffer.alloc(0)],
    ['only its beginning', whole.subarray(0, 4)],
    ['cut off', whole.subarray(0, -1)],
    ['with a bit changed', Buffer.concat([whole.subarray(0, 6), Buffer.from([0xff]), whole.subarray(7)])],
    ['with a sum that fits and nothing that makes sense', rewritten(Buffer.from([0x0a, 0xff, 0xff]))],
    ['with a record of a key that is not there', rewritten(Buffer.from([0x1a, 0x05, 0x08, 0x07, 0x1a, 0x01, 0x78]))],
  ])('%s is none', (_what, data) => {
    expect(disaggregate(data)).toBeUndefined()
  })

  it('never throws on what somebody else wrote', () => {
    const tried = fc.check(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void disaggregate(rewritten(Buffer.from(bytes)))),
    )
    expect(tried.failed).toBe(false)
  })
})
