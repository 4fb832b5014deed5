import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { asker, client, start } from './fixtures.ts'

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
