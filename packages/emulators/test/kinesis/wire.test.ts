import { NodeHttpHandler } from '@smithy/node-http-handler'
import { describe, expect, it } from 'vitest'
import { decodeCbor, encodeCbor } from '../../src/kinesis/wire/cbor.ts'
import { encodeJson } from '../../src/kinesis/wire/json.ts'
import { asker, bytes, client, readAll, shard, start } from './fixtures.ts'

describe('CBOR', () => {
  it.each([
    ['00', 0],
    ['1864', 100],
    ['1903e8', 1_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['29', -10],
    ['f4', false],
    ['f5', true],
    ['f6', undefined],
    ['f93c00', 1],
    ['f9c400', -4],
    ['fa47c35000', 100_000],
    ['fb3ff199999999999a', 1.1],
    ['62c3bc', 'ü'],
    ['4401020304', Buffer.of(1, 2, 3, 4)],
    ['83010203', [1, 2, 3]],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    // Lengths that are not known beforehand, as the SDK for Java writes them.
    ['9f0102ff', [1, 2]],
    ['bf61610161629f0203ffff', { a: 1, b: [2, 3] }],
    ['7f6161626263ff', 'abc'],
    ['5f42010243030405ff', Buffer.of(1, 2, 3, 4, 5)],
    ['c11b0000019a00000000', new Date(1_760_936_591_360)],
  ])('%s is read', (hex, value) => {
    expect(decodeCbor(Buffer.from(hex, 'hex'))).toEqual(value)
  })

  it.each([
    '18',
    'ff',
    '9bffffffffffffffff',
    '5bffffffffffffffff',
    'a1',
    'a10101',
    'bf6161019f02ffff',
    '9f',
    '1c',
    '0000',
    '81'.repeat(5_000),
    'f8ff',
    '820 1',
  ])('%s is refused', (hex) =>
    expect(() => decodeCbor(Buffer.from(hex, 'hex'))).toThrow(
      expect.objectContaining({ name: 'SerializationException' }),
    ),
  )

  it('is written and read again', () => {
    const value = {
      n: 23,
      m: 70_000,
      big: 2 ** 40,
      minus: -300,
      f: 0.5,
      s: 'x'.repeat(300),
      b: Buffer.alloc(70_000, 7),
      t: new Date(1_795_000_000_123),
      l: [true, false],
      none: undefined,
    }
    const { none: _, ...written } = value
    expect(decodeCbor(encodeCbor(value))).toEqual(written)
  })
})

it('JSON has bytes as base64 and times in seconds', () => {
  const value = { Data: bytes('hi'), At: new Date(1_500), List: [{ a: 'ü"' }, 1, true], Nothing: undefined }
  expect(encodeJson(value).join('')).toBe('{"Data":"aGk=","At":1.5,"List":[{"a":"ü\\""},1,true]}')
})

it('answers in CBOR who asks in CBOR', async () => {
  const server = await start()
  const ask = async (name: string, input: object): Promise<Record<string, unknown>> => {
    const response = await fetch(server.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-amz-cbor-1.1',
        'x-amz-target': `Kinesis_20131202.${name}`,
        authorization:
          'AWS4-HMAC-SHA256 Credential=a/20261125/eu-west-1/kinesis/aws4_request, SignedHeaders=host, Signature=0',
      },
      body: new Uint8Array(encodeCbor(input)),
    })
    expect(response.headers.get('content-type')).toBe('application/x-amz-cbor-1.1')
    return decodeCbor(Buffer.from(await response.arrayBuffer())) as Record<string, unknown>
  }
  await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  await ask('PutRecord', { StreamName: 's', Data: Buffer.of(1, 2), PartitionKey: 'k' })
  const { ShardIterator } = await ask('GetShardIterator', {
    StreamName: 's',
    ShardId: shard(0),
    ShardIteratorType: 'AT_TIMESTAMP',
    Timestamp: new Date(1_000),
  })
  const { Records } = await ask('GetRecords', { ShardIterator })
  expect(Records).toMatchObject([{ Data: Buffer.of(1, 2), PartitionKey: 'k' }])
  expect((Records as { ApproximateArrivalTimestamp: Date }[])[0]?.ApproximateArrivalTimestamp).toBeInstanceOf(Date)
  expect(await ask('DescribeStream', { StreamName: 'none' })).toEqual({
    __type: 'ResourceNotFoundException',
    message: 'Stream none under account 000000000000 not found.',
  })
})

it('speaks HTTP/1.1 and HTTP/2 on one port', async () => {
  const server = await start()
  const two = asker(client(server))
  const one = asker(client(server, { requestHandler: new NodeHttpHandler() }))
  await two('CreateStream', { StreamName: 's', ShardCount: 1 })
  await one('PutRecord', { StreamName: 's', Data: bytes('x'), PartitionKey: 'k' })
  expect((await readAll(two, 's', shard(0))).length).toBe(1)
})
