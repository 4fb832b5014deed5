import { PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb'
import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  PutRecordsCommand,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis'
import type { _Record, KinesisClient } from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { aggregate, pieceOf } from '../src/aggregate.ts'
import { backend, collect, failure, makeTable, open, tablesOf, texts } from './fixtures.ts'

const shard = 'shardId-000000000000'

/** How many reads of the client were answered, and refused. */
function readsOf(client: KinesisClient): { readonly answered: number; readonly refused: number } {
  const reads = { answered: 0, refused: 0 }
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        if (commandName !== 'GetRecordsCommand') return next(args)
        try {
          const answer = await next(args)
          reads.answered++
          return answer
        } catch (error) {
          reads.refused++
          throw error
        }
      },
    { step: 'initialize' },
  )
  return reads
}

describe('a KCL application', () => {
  it('is taken over where it stood, also in an aggregate, and its shards that are done stay done', async () => {
    const { dynamo, url } = await backend()
    const cloud = await open(url('&leaseTable={group}'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    const kinesis = cloud.native() as KinesisClient
    // As a program with the KPL writes: one aggregate of three, then plain records.
    const three = aggregate(
      'k',
      ['a', 'b', 'c'].map((value) => pieceOf(Buffer.from(value), [])),
    )
    await put(kinesis, three)
    await put(kinesis, Buffer.from('d'))
    const [first] = await readAll(kinesis)
    await kinesis.send(
      new SplitShardCommand({ StreamName: 't', ShardToSplit: shard, NewStartingHashKey: String(2n ** 127n) }),
    )

    const tables = tablesOf(dynamo)
    await leftBehind(tables, 'kcl-app', [
      // What KCL 1 to 3 have in a lease; the worker is gone.
      lease(shard, { checkpoint: { S: first?.SequenceNumber ?? '' }, checkpointSubSequenceNumber: { N: '1' } }),
    ])
    await put(kinesis, Buffer.from('e'))
    expect(await collect(texts(cloud, 't'), 'kcl-app', 3)).toEqual(['c', 'd', 'e'])

    const items = (await tables.send(new ScanCommand({ TableName: 'kcl-app' }))).Items ?? []
    const kept = items.find((item) => item['leaseKey']?.S === shard)
    // The KCL can go on with it: the end is told in its words, the children are nobody's, and stand where we were.
    expect(kept).toMatchObject({ checkpoint: { S: 'SHARD_END' }, throughputKBps: { N: '12' } })
    const children = items.filter((item) => item !== kept)
    expect(children.map((item) => [item['leaseOwner'], item['parentShardId']])).toEqual([
      [undefined, { SS: [shard] }],
      [undefined, { SS: [shard] }],
    ])
    const next = children.find((item) => /^\d+$/.test(item['checkpoint']?.S ?? ''))
    expect(next?.['checkpointSubSequenceNumber']).toEqual({ N: '0' })
  })

  it('that had read nothing yet of a shard loses nothing to trouble on the way', async () => {
    const { kinesis: server, dynamo, url } = await backend()
    const cloud = await open(url('&leaseTable={group}'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    const tables = tablesOf(dynamo)
    const free = { leaseKey: { S: shard }, leaseCounter: { N: '7' }, checkpointSubSequenceNumber: { N: '0' } }
    await leftBehind(tables, 'kcl-app', [{ ...free, checkpoint: { S: 'LATEST' } }])
    const reads = readsOf(cloud.native() as KinesisClient)
    const seen: string[] = []
    const consumer = texts(cloud, 't').consumer({ group: 'kcl-app', commitIntervalMs: 10, deadLetter: false })
    const running = consumer.run((message) => void seen.push(message.value))
    // The first read finds nothing, the next fails, which costs the iterator; the record comes before the one after that.
    await eventually(() => expect(reads.answered).toBeGreaterThan(0))
    const off = server.faults.add({ kind: 'internal-error', call: 'GetRecords' })
    await eventually(() => expect(reads.refused).toBeGreaterThan(0))
    await texts(cloud, 't').send({ key: 'k', value: 'meanwhile' })
    off()
    await eventually(() => expect(seen).toEqual(['meanwhile']))
    await consumer.close()
    await running
  })

  it.each(['LATEST', 'AT_TIMESTAMP'])('that stood at %s loses nothing that was read and not settled', async (place) => {
    const { dynamo, url } = await backend()
    const cloud = await open(url('&leaseTable={group}'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    const free = { leaseKey: { S: shard }, checkpoint: { S: place }, checkpointSubSequenceNumber: { N: '0' } }
    // Made by hand: without a counter.
    await leftBehind(tablesOf(dynamo), 'kcl-app', [free])
    const topic = texts(cloud, 't')
    const options = { group: 'kcl-app', start: 'latest', commitIntervalMs: 10, deadLetter: false } as const
    const stuck = topic.consumer(options)
    const begun: string[] = []
    const running = stuck.run(({ value }) => {
      begun.push(value)
      return new Promise(() => undefined)
    })
    await eventually(() => expect(stuck.stats().partitions).toHaveLength(1))
    await topic.send({ key: 'k', value: 'read' })
    await eventually(() => expect(begun).toEqual(['read']))
    await stuck.close({ timeoutMs: 50 }).catch(() => undefined)
    await running
    const seen: string[] = []
    const next = topic.consumer(options)
    const reading = next.run(({ value }) => void seen.push(value))
    await eventually(() => expect(seen).toEqual(['read']))
    await next.close()
    await reading
  })

  it('whose checkpoint cannot be read ends the consumer, until the group is moved', async () => {
    const { dynamo, url } = await backend()
    const cloud = await open(url('&leaseTable={group}'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    await leftBehind(tablesOf(dynamo), 'kcl-app', [lease(shard, { checkpoint: { S: 'whatever' } })])
    await texts(cloud, 't').send({ key: 'k', value: 'first' })
    const error = await failure(collect(texts(cloud, 't'), 'kcl-app', 1))
    expect([error.code, error.message]).toEqual(['corrupt', expect.stringContaining('with a seek')])
    await cloud.admin.seek('t', 'kcl-app', 'earliest')
    expect(await collect(texts(cloud, 't'), 'kcl-app', 1)).toEqual(['first'])
  })

  it('whose checkpoint cannot be read any more while the consumer runs ends it too', async () => {
    const { dynamo, url } = await backend()
    const cloud = await open(url('&leaseTable={group}'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    const tables = tablesOf(dynamo)
    const consumer = texts(cloud, 't').consumer({ group: 'kcl-app', deadLetter: false })
    const ended = failure(consumer.run(() => undefined))
    await eventually(() => expect(consumer.stats().partitions).toHaveLength(1))
    await tables.send(
      new PutItemCommand({
        TableName: 'kcl-app',
        Item: lease(shard, { checkpoint: { S: 'whatever' }, leaseCounter: { N: '9999999' } }),
      }),
    )
    expect((await ended).message).toContain('"whatever" is no position')
  })

  it('that took the lease of a finished parent away is not made to read it again', async () => {
    const { dynamo, url } = await backend()
    const cloud = await open(url('&leaseTable={group}'))
    await cloud.admin.createTopic('t', { partitions: 1 })
    const kinesis = cloud.native() as KinesisClient
    await put(kinesis, Buffer.from('old'))
    await kinesis.send(
      new SplitShardCommand({ StreamName: 't', ShardToSplit: shard, NewStartingHashKey: String(2n ** 127n) }),
    )
    const tables = tablesOf(dynamo)
    await leftBehind(tables, 'kcl-app', [
      lease('shardId-000000000001', { parentShardId: { SS: [shard] } }),
      lease('shardId-000000000002', { parentShardId: { SS: [shard] } }),
    ])
    await put(kinesis, Buffer.from('new'))
    const lags = await cloud.admin.lag('t', 'kcl-app')
    expect(lags.find(({ partition }) => partition === shard)).toMatchObject({ ageMs: 0 })
    expect(await collect(texts(cloud, 't'), 'kcl-app', 1)).toEqual(['new'])
  })
})

async function put(kinesis: KinesisClient, Data: Buffer): Promise<void> {
  const { FailedRecordCount } = await kinesis.send(
    new PutRecordsCommand({ StreamName: 't', Records: [{ PartitionKey: 'k', Data }] }),
  )
  expect(FailedRecordCount).toBe(0)
}

async function readAll(kinesis: KinesisClient): Promise<readonly _Record[]> {
  const { ShardIterator } = await kinesis.send(
    new GetShardIteratorCommand({ StreamName: 't', ShardId: shard, ShardIteratorType: 'TRIM_HORIZON' }),
  )
  return (await kinesis.send(new GetRecordsCommand({ ShardIterator }))).Records ?? []
}

function lease(leaseKey: string, more: Record<string, AttributeValue>): Record<string, AttributeValue> {
  return {
    leaseKey: { S: leaseKey },
    leaseOwner: { S: 'worker-of-the-past' },
    leaseCounter: { N: '77' },
    checkpoint: { S: 'TRIM_HORIZON' },
    checkpointSubSequenceNumber: { N: '0' },
    ownerSwitchesSinceCheckpoint: { N: '0' },
    throughputKBps: { N: '12' },
    ...more,
  }
}

async function leftBehind(
  tables: DynamoDBClient,
  TableName: string,
  leases: readonly Record<string, AttributeValue>[],
): Promise<void> {
  await makeTable(tables, TableName, 'leaseKey')
  for (const Item of leases) await tables.send(new PutItemCommand({ TableName, Item }))
}
