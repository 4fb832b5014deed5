import { GetRecordsCommand, GetShardIteratorCommand, KinesisClient, PutRecordsCommand } from '@aws-sdk/client-kinesis'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { expect, it } from 'vitest'
import { getRecords } from '../src/get-records.ts'
import { backend, open, stubService } from './fixtures.ts'

const { signal } = new AbortController()

function clientOf(endpoint: string): KinesisClient {
  const credentials = { accessKeyId: 'A', secretAccessKey: 'b' }
  return new KinesisClient({ endpoint, region: 'eu-west-1', credentials, requestHandler: new NodeHttpHandler() })
}

it('gives what the SDK gives, whatever is in the records', async () => {
  const { kinesis, url } = await backend()
  const cloud = await open(url())
  await cloud.admin.createTopic('t', { partitions: 1 })
  const client = clientOf(kinesis.url)
  const Records = ['k', 'a"\\\n', 'ключ 🙂'].map((PartitionKey, at) => ({
    PartitionKey,
    Data: Buffer.from(Array.from({ length: at * 5_001 }, (_, byte) => (byte * 7) % 256)),
  }))
  await client.send(new PutRecordsCommand({ StreamName: 't', Records }))
  const ShardId = 'shardId-000000000000'
  const { ShardIterator } = await client.send(
    new GetShardIteratorCommand({ StreamName: 't', ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
  )
  const theirs = await client.send(new GetRecordsCommand({ ShardIterator }))
  const ours = await getRecords(client, { ShardIterator }, signal)
  client.destroy()
  const { NextShardIterator, $metadata, ...rest } = { $metadata: undefined, ...ours }
  expect(typeof NextShardIterator).toBe('string')
  expect($metadata).toMatchObject({ httpStatusCode: 200 })
  const plain = rest.Records?.map(({ Data, ...more }) => ({ ...more, Data: new Uint8Array(Data ?? []) }))
  expect({ ...rest, Records: plain }).toEqual({
    Records: theirs.Records,
    MillisBehindLatest: theirs.MillisBehindLatest,
    ChildShards: theirs.ChildShards,
  })
  expect(plain?.map(({ Data }) => Data.length)).toEqual([0, 5_001, 10_002])
})

it('leaves an answer that makes no sense to the SDK, which says so', async () => {
  const endpoint = await stubService((_call, _request, response) => response.end('<html>'))
  const client = clientOf(endpoint)
  await expect(getRecords(client, { ShardIterator: 'x' }, signal)).rejects.toThrow(SyntaxError)
  client.destroy()
})
