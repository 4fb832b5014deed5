import {
  DescribeStreamSummaryCommand,
  ListShardsCommand,
  MergeShardsCommand,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { backend, failure, open, texts } from './fixtures.ts'

const clientOf = (cloud: { native(): unknown }): KinesisClient => cloud.native() as KinesisClient

describe('resharding by somebody else', () => {
  it('is followed by running members: a split, and a merge with two parents, in order', async () => {
    const { url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    const topic = texts(cloud, 't')
    const seen: string[] = []
    const consumer = topic.consumer({ group: 'g', commitIntervalMs: 10, deadLetter: false })
    const running = consumer.run((message) => void seen.push(message.value))
    const send = async (from: number): Promise<void> => {
      for (let at = from; at < from + 20; at++) await topic.send({ key: `k${at % 4}`, value: `${at % 4}:${at}` })
    }
    await send(0)
    const client = clientOf(cloud)
    const half = String(2n ** 127n)
    await client.send(
      new SplitShardCommand({ StreamName: 't', ShardToSplit: 'shardId-000000000000', NewStartingHashKey: half }),
    )
    await send(20)
    await eventually(async () => {
      const { StreamDescriptionSummary: summary } = await client.send(
        new DescribeStreamSummaryCommand({ StreamName: 't' }),
      )
      expect(summary?.StreamStatus).toBe('ACTIVE')
    })
    await client.send(
      new MergeShardsCommand({
        StreamName: 't',
        ShardToMerge: 'shardId-000000000001',
        AdjacentShardToMerge: 'shardId-000000000002',
      }),
    )
    await send(40)
    await eventually(() => expect(new Set(seen).size).toBe(60), 15_000)
    await consumer.close()
    await running
    for (let key = 0; key < 4; key++) {
      const firsts = new Set(seen.filter((value) => value.startsWith(`${key}:`)))
      const order = [...firsts].map((value) => Number(value.slice(2)))
      expect(order).toEqual(order.toSorted((a, b) => a - b))
    }
    const lag = await cloud.admin.lag('t', 'g')
    expect(lag.map(({ ageMs }) => ageMs)).toEqual([0, 0, 0, 0])
  })

  it('is noticed by producers: an ended partition is refused, and only what goes to a hot shard waits for it', async () => {
    const { kinesis, url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    const topic = texts(cloud, 't')
    await topic.send({ key: 'a', value: 'before' })
    const ShardToSplit = 'shardId-000000000000'
    await clientOf(cloud).send(
      new SplitShardCommand({ StreamName: 't', ShardToSplit, NewStartingHashKey: String(2n ** 127n) }),
    )
    await eventually(async () => {
      const { partition } = await topic.send({ key: 'a', value: 'after' })
      expect(partition).not.toBe(ShardToSplit)
    })
    await eventually(async () => {
      const error = await failure(topic.send({ key: 'b', value: 'astray', partition: ShardToSplit }))
      expect(error).toMatchObject({ code: 'conflict' })
    })
    // One try: what is held back by mistake fails.
    const sender = topic.producer({ onOrderedFailure: 'continue', retry: { maxAttempts: 1 } })
    kinesis.faults.add({ kind: 'throttle', what: 'write', shard: 'shardId-000000000001' })
    for (let times = 0; times < 20; times++) {
      expect(await failure(sender.send({ key: 'a', value: 'hot' }))).toMatchObject({ code: 'throttled' })
      await sender.send({ key: 'b2', value: 'cold', partition: 'shardId-000000000002' })
      await sender.send({ key: 'b', value: 'cold' })
    }
  })

  it('splits and merges by hand when UpdateShardCount is used up for the day', async () => {
    const { url } = await backend({ quotas: true })
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    for (let times = 0; times < 6; times++) {
      await cloud.admin.setPartitions('t', 2)
      await cloud.admin.setPartitions('t', 1)
    }
    await cloud.admin.setPartitions('t', 5)
    const { Shards } = await clientOf(cloud).send(new ListShardsCommand({ StreamName: 't' }))
    const open5 = (Shards ?? []).filter(({ SequenceNumberRange: range }) => range?.EndingSequenceNumber === undefined)
    expect(open5.length).toBe(5)
    await cloud.admin.setPartitions('t', 3)
    const { partitions } = await cloud.admin.describeTopic('t')
    expect(partitions.filter(({ state }) => state === 'open').length).toBe(3)
  }, 60_000)
})
