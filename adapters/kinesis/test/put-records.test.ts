import { KinesisClient } from '@aws-sdk/client-kinesis'
import type { PutRecordsInput } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { expect, it } from 'vitest'
import { putRecords } from '../src/put-records.ts'
import { stubService } from './fixtures.ts'

it('asks for what the SDK would ask for, whatever is in the records', async () => {
  const bodies: string[] = []
  const endpoint = await stubService((_call, request, response, body) => {
    expect(request.headers['content-length']).toBe(String(Buffer.byteLength(body)))
    bodies.push(body)
    response.end('{"FailedRecordCount":0,"Records":[]}')
  })
  const credentials = { accessKeyId: 'A', secretAccessKey: 'b' }
  const client = new KinesisClient({
    endpoint,
    region: 'eu-west-1',
    credentials,
    requestHandler: new NodeHttpHandler(),
  })
  const sizes = [0, 1, 2, 3, 24_575, 24_576, 24_577, 100_000]
  const entries = sizes.map((size, at) => ({
    partitionKey: ['k', 'a"\\\n\0', 'ключ 🙂', '\u2028'][at % 4] ?? '',
    hashKey: at % 2 === 0 ? undefined : '170141183460469231731687303715884105728',
    data: Buffer.from(Array.from({ length: size }, (_, byte) => (byte * 7 + at) % 256)),
  }))
  await client.send(putRecords('some.stream_1', entries))
  client.destroy()
  const asked = JSON.parse(bodies[0] ?? '') as PutRecordsInput
  expect(asked).toEqual({
    StreamName: 'some.stream_1',
    Records: entries.map(({ partitionKey, hashKey, data }) => ({
      PartitionKey: partitionKey,
      ...(hashKey === undefined ? {} : { ExplicitHashKey: hashKey }),
      Data: data.toString('base64'),
    })),
  })
})
