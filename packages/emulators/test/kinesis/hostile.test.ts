import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { decodeCbor, encodeCbor } from '../../src/kinesis/wire/cbor.ts'
import { asker, client, shard, start } from './fixtures.ts'

const authorization =
  'AWS4-HMAC-SHA256 Credential=a/20261125/eu-west-1/kinesis/aws4_request, SignedHeaders=host, Signature=0'

function post(url: string, target: string, body: string, more: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'x-amz-target': `Kinesis_20131202.${target}`, authorization, ...more },
    body,
  })
}

/** Writes raw bytes, and returns what came back before the connection ended. */
function raw(port: number, bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.setTimeout(500, () => socket.destroy())
    socket.on('data', (data) => (text += data.toString('latin1')))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => resolve(text))
  })
}

describe('a request that is none', () => {
  it.each([
    ['no JSON', 'ListStreams', '{', 'SerializationException'],
    ['a list', 'ListStreams', '[]', 'SerializationException'],
    ['a text', 'ListStreams', '"x"', 'SerializationException'],
    ['a number for a name', 'DescribeStream', '{"StreamName":1}', 'SerializationException'],
    ['a text for a number', 'ListStreams', '{"Limit":"1"}', 'SerializationException'],
    ['no base64', 'PutRecord', '{"StreamName":"s","Data":"!!!!","PartitionKey":"k"}', 'SerializationException'],
    ['a call that is none', 'MakeCoffee', '{}', 'UnknownOperationException'],
    ['a property of every object', 'constructor', '{}', 'UnknownOperationException'],
    ['nothing', 'PutRecords', '', 'ValidationException'],
  ])('%s', async (_, target, body, type) => {
    const server = await start()
    const response = await post(server.url, target, body)
    expect([response.status, ((await response.json()) as { __type: string }).__type]).toEqual([400, type])
  })

  it('a number that is none, in CBOR', async () => {
    const server = await start()
    await asker(client(server))('CreateStream', { StreamName: 's', ShardCount: 2 })
    const ask = (call: string, input: object): Promise<Response> =>
      fetch(server.url, {
        method: 'POST',
        headers: {
          'x-amz-target': `Kinesis_20131202.${call}`,
          authorization,
          'content-type': 'application/x-amz-cbor-1.1',
        },
        body: new Uint8Array(encodeCbor(input)),
      })
    const scale = { StreamName: 's', TargetShardCount: Number.NaN, ScalingType: 'UNIFORM_SCALING' }
    expect((await ask('UpdateShardCount', scale)).status).toBe(400)
    expect((await ask('ListStreams', { Limit: Number.NaN })).status).toBe(400)
    const at = {
      StreamName: 's',
      ShardId: shard(0),
      ShardIteratorType: 'AT_TIMESTAMP',
      Timestamp: new Date(Number.NaN),
    }
    expect((await ask('GetShardIterator', at)).status).toBe(400)
  })

  it('a list of millions takes neither the memory nor the time of millions', async () => {
    const server = await start()
    const before = process.cpuUsage()
    const response = await post(server.url, 'PutRecords', `{"StreamName":"s","Records":[${'{},'.repeat(2_000_000)}{}]}`)
    expect([response.status, await response.text()]).toEqual([400, expect.stringContaining('[2000001 items]')])
    expect(process.cpuUsage(before).user / 1_000_000).toBeLessThan(5)
    const cbor = Buffer.concat([Buffer.from('a1675265636f7264739a00f42400', 'hex'), Buffer.alloc(16_000_000, 0xa0)])
    expect(() => decodeCbor(cbor)).toThrow('too many items')
  })

  it.each([
    ['StreamARN', 'DescribeStream', `arn:aws${':kinesis:'.repeat(100_000)}`],
    ['ConsumerARN', 'DescribeStreamConsumer', `arn:aws${':kinesis:000000000000:'.repeat(50_000)}`],
  ])('a long %s is refused at once', async (name, call, value) => {
    const server = await start()
    const before = process.cpuUsage()
    expect((await post(server.url, call, JSON.stringify({ [name]: value }))).status).toBe(400)
    expect(process.cpuUsage(before).user / 1_000_000).toBeLessThan(1)
  })

  it('too large a body is 413, and the connection is good for the next', async () => {
    const server = await start()
    expect((await post(server.url, 'PutRecords', 'x'.repeat(17 * 1024 * 1024))).status).toBe(413)
    expect((await post(server.url, 'ListStreams', '{}')).status).toBe(200)
  })

  it('bytes that are no HTTP end their own connection only', async () => {
    const server = await start()
    const ask = asker(client(server))
    await ask('ListStreams')
    expect(await raw(server.port, 'hello\r\n\r\n')).toContain('400')
    await raw(server.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff')
    await raw(server.port, 'P')
    await raw(server.port, Buffer.from([0, 1, 2, 3, 4, 5]))
    expect((await ask('ListStreams')).StreamNames).toEqual([])
  })
})
