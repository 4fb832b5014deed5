import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ManualClock } from '@sluice/driver/testing'
import { expect, it, onTestFinished } from 'vitest'
import { KinesisServer } from '../../src/index.ts'
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

it('keeps what was acknowledged after a restart in the middle of the making', async () => {
  const path = await folder()
  const first = await start({ folder: path, stateMs: 600_000 })
  await asker(client(first))('CreateStream', { StreamName: 's', ShardCount: 1 })
  await first.close()
  const second = await start({ folder: path })
  const put = { StreamName: 's', Data: bytes('x'), PartitionKey: 'k' }
  const { SequenceNumber } = await asker(client(second))('PutRecord', put)
  await second.close()
  const ask = asker(client(await start({ folder: path })))
  expect((await readAll(ask, 's', shard(0))).map((record) => record.SequenceNumber)).toEqual([SequenceNumber])
  await ask('PutRecord', put)
})

it('is for one server at a time', async () => {
  const path = await folder()
  await start({ folder: path })
  await expect(KinesisServer.start({ folder: path })).rejects.toMatchObject({ code: 'conflict' })
})

it('says so when the folder holds something else', async () => {
  const path = await folder()
  await writeFile(
    join(path, 'kinesis.sqlite'),
    'no database at all, but long enough to be looked at as one'.repeat(100),
  )
  await expect(KinesisServer.start({ folder: path })).rejects.toMatchObject({ code: 'corrupt' })
})

it('gives sequence numbers out once, also when every record is trimmed before a restart', async () => {
  const path = await folder()
  const clock = new ManualClock()
  const first = await start({ folder: path, clock })
  const before = asker(client(first))
  await before('CreateStream', { StreamName: 's', ShardCount: 1 })
  const put = { StreamName: 's', Data: bytes('x'), PartitionKey: 'k' }
  const { SequenceNumber } = await before('PutRecord', put)
  await clock.advance(25 * 3_600_000)
  expect(await readAll(before, 's', shard(0))).toEqual([])
  await first.close()
  const after = asker(client(await start({ folder: path, clock })))
  expect(BigInt((await after('PutRecord', put)).SequenceNumber) > BigInt(SequenceNumber)).toBe(true)
})

it('acknowledges nothing that it cannot keep', async () => {
  const path = await folder()
  const server = await start({ folder: path })
  const ask = asker(client(server))
  await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  const put = { StreamName: 's', Data: bytes('x'), PartitionKey: 'k' }
  const { SequenceNumber } = await ask('PutRecord', put)
  const prepare = DatabaseSync.prototype.exec
  // The disk is full: from now on no transaction begins.
  DatabaseSync.prototype.exec = () => {
    throw new Error('database or disk is full')
  }
  onTestFinished(() => void (DatabaseSync.prototype.exec = prepare))
  expect(await refusal(ask('PutRecord', put))).toMatchObject({ status: 500 })
  DatabaseSync.prototype.exec = prepare
  const second = await ask('PutRecord', put)
  expect((await readAll(ask, 's', shard(0))).map((record) => record.SequenceNumber)).toEqual([
    SequenceNumber,
    second.SequenceNumber,
  ])
})

it('does not let a slow reader of a deleted stream touch the next of its name', async () => {
  const path = await folder()
  const server = await start({ folder: path })
  const ask = asker(client(server))
  const put = { StreamName: 's', Data: bytes('x'), PartitionKey: 'k' }
  await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  await ask('PutRecord', put)
  const { ShardIterator } = await ask('GetShardIterator', {
    StreamName: 's',
    ShardId: shard(0),
    ShardIteratorType: 'TRIM_HORIZON',
  })
  server.faults.add({ kind: 'slow', stream: 's', ms: 200, times: 1 })
  const slow = refusal(ask('GetRecords', { ShardIterator }))
  await ask('DeleteStream', { StreamName: 's' })
  await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  await ask('PutRecord', put)
  expect((await slow).name).toBe('ResourceNotFoundException')
  await server.close()
  const after = asker(client(await start({ folder: path })))
  expect((await readAll(after, 's', shard(0))).length).toBe(1)
})
