import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { asker, bytes, client, readAll, refusal, shard, start } from './fixtures.ts'
import type { Answer, Ask } from './fixtures.ts'

const arn = 'arn:aws:kinesis:eu-west-1:000000000000:stream/s'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-kinesis-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

it('keeps streams, records, positions and consumers in a folder', async () => {
  const path = await folder()
  const put = (ask: Ask, text: string): Promise<Answer> =>
    ask('PutRecord', { StreamName: 's', Data: bytes(text), PartitionKey: 'k' })
  const first = await start({ folder: path })
  const before = asker(client(first))
  await before('CreateStream', { StreamName: 's', ShardCount: 1, Tags: { a: 'b' } })
  await put(before, 'one')
  const half = String(2n ** 127n)
  await before('SplitShard', { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: half })
  const { ShardId, SequenceNumber } = await put(before, 'two')
  await before('RegisterStreamConsumer', { StreamARN: arn, ConsumerName: 'c' })
  await before('CreateStream', { StreamName: 'gone', ShardCount: 1 })
  await before('DeleteStream', { StreamName: 'gone' })
  const { ShardIterator } = await before('GetShardIterator', {
    StreamName: 's',
    ShardId,
    ShardIteratorType: 'AT_SEQUENCE_NUMBER',
    StartingSequenceNumber: SequenceNumber,
  })
  const { Shards } = await before('ListShards', { StreamName: 's' })
  await first.close()

  const after = asker(client(await start({ folder: path })))
  expect((await after('ListStreams')).StreamNames).toEqual(['s'])
  expect((await after('ListShards', { StreamName: 's' })).Shards).toEqual(Shards)
  expect((await after('ListTagsForStream', { StreamName: 's' })).Tags).toEqual([{ Key: 'a', Value: 'b' }])
  expect((await after('ListStreamConsumers', { StreamARN: arn })).Consumers.length).toBe(1)
  expect((await readAll(after, 's', shard(0))).length).toBe(1)
  const { Records } = await after('GetRecords', { ShardIterator })
  expect(Records.map((record: Answer) => record.SequenceNumber)).toEqual([SequenceNumber])
  const third = await put(after, 'three')
  expect(BigInt(third.SequenceNumber) > BigInt(SequenceNumber)).toBe(true)
  expect((await readAll(after, 's', ShardId)).length).toBe(2)
})

it('finishes what was under way when it ended', async () => {
  const path = await folder()
  const first = await start({ folder: path, stateMs: 600_000 })
  const before = asker(client(first))
  await before('CreateStream', { StreamName: 's', ShardCount: 2 })
  await first.close()
  const after = asker(client(await start({ folder: path, stateMs: 0 })))
  const { StreamDescriptionSummary } = await after('DescribeStreamSummary', { StreamName: 's' })
  expect(StreamDescriptionSummary).toMatchObject({ StreamStatus: 'ACTIVE', OpenShardCount: 2 })
  await after('DeleteStream', { StreamName: 's' })
  expect((await refusal(after('DescribeStreamSummary', { StreamName: 's' }))).name).toBe('ResourceNotFoundException')
})
