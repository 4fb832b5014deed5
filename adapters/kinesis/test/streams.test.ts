import { ScanCommand } from '@aws-sdk/client-dynamodb'
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  ListStreamConsumersCommand,
  RegisterStreamConsumerCommand,
  UpdateMaxRecordSizeCommand,
  UpdateShardCountCommand,
  UpdateStreamRecordDistributionStrategyCommand,
} from '@aws-sdk/client-kinesis'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { Cloud } from '@sluice/core'
import { eventually, ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { backend, collect, failure, open, tablesOf, texts } from './fixtures.ts'

const clientOf = (cloud: { native(): unknown }): KinesisClient => cloud.native() as KinesisClient

/** Has stream `t` ignore keys from now on. */
async function spreadBySelf(client: KinesisClient): Promise<void> {
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: 't' }))
  const input = { StreamARN: summary?.StreamARN, RecordDistributionStrategy: 'AUTO' } as const
  await client.send(new UpdateStreamRecordDistributionStrategyCommand(input))
}

describe('what a stream says of itself', () => {
  it('that it spreads records by itself: no order can be kept, so it is refused', async () => {
    const { url } = await backend()
    const cloud = await open(url('&capacity=on-demand'))
    await cloud.admin.createTopic('t')
    await spreadBySelf(clientOf(cloud))
    const error = await failure(texts(cloud, 't').send({ value: 'x' }))
    expect(error).toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('no order can be kept') as string,
    })
    expect(await failure(cloud.admin.setPartitions('t', 3))).toMatchObject({ code: 'unsupported' })
  })

  it('that it spreads records by itself from now on: it is noticed by where they come to stand, and refused', async () => {
    const { url } = await backend()
    const cloud = await open(url('&capacity=on-demand'))
    await cloud.admin.createTopic('t')
    await using producer = texts(cloud, 't').producer()
    await producer.send({ key: 'k', value: 'x' })
    await spreadBySelf(clientOf(cloud))
    const refused = await eventually(async () => {
      const error = await failure(producer.send({ key: 'k', value: 'x' }))
      expect(error.message).toContain('no order can be kept')
      return error
    })
    expect(refused).toMatchObject({ code: 'unsupported' })
  })

  it('that it takes larger records: they are sent', async () => {
    const { url } = await backend()
    const cloud = await open(url())
    await cloud.admin.createTopic('t', { partitions: 1 })
    const large = 'x'.repeat(3 * 1024 * 1024)
    expect(await failure(texts(cloud, 't').send({ value: large }))).toMatchObject({ code: 'too-large' })
    const client = clientOf(cloud)
    const { StreamDescriptionSummary: summary } = await client.send(
      new DescribeStreamSummaryCommand({ StreamName: 't' }),
    )
    await client.send(
      new UpdateMaxRecordSizeCommand({ StreamARN: summary?.StreamARN ?? '', MaxRecordSizeInKiB: 4_096 }),
    )
    await eventually(async () => {
      const again = await open(url())
      await texts(again, 't').send({ key: 'k', value: large })
    })
    const [first] = await collect(texts(cloud, 't'), 'g', 1)
    expect(first?.length).toBe(large.length)
  })
})

it('opens a stream that is being changed: it can be read and written meanwhile', async () => {
  const clock = new ManualClock()
  const { url } = await backend({ clock, stateMs: 1_000 })
  const cloud = await open(url())
  const client = clientOf(cloud)
  await client.send(new CreateStreamCommand({ StreamName: 't', ShardCount: 1 }))
  await clock.advance(1_000)
  await client.send(
    new UpdateShardCountCommand({ StreamName: 't', TargetShardCount: 2, ScalingType: 'UNIFORM_SCALING' }),
  )
  await texts(cloud, 't').send({ key: 'k', value: 'x' })
  expect(await cloud.admin.describeTopic('t')).toMatchObject({ name: 't' })
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: 't' }))
  expect(summary?.StreamStatus).toBe('UPDATING')
})

it('is made once by many who ask at the same time for the same', async () => {
  const { url } = await backend({ stateMs: 100 })
  const clouds = await Promise.all([1, 2, 3].map(() => open(url())))
  const spec = { partitions: 1, retentionMs: 48 * 3_600_000 }
  const outcomes = await Promise.all(clouds.map((cloud) => cloud.admin.createTopic('t', spec)))
  expect(outcomes.toSorted()).toEqual(['created', 'exists', 'exists'])
  const other = (clouds[0] as Cloud).admin.createTopic('t', { retentionMs: 72 * 3_600_000 })
  expect(await failure(other)).toMatchObject({ code: 'conflict' })
})

it('is deleted with what groups kept of it, also where another has its name at once', async () => {
  const { url, dynamo } = await backend()
  const cloud = await open(url())
  await cloud.admin.createTopic('t', { partitions: 1 })
  await cloud.admin.seek('t', 'g', 'earliest')
  const client = clientOf(cloud)
  const again = eventually(() => client.send(new CreateStreamCommand({ StreamName: 't', ShardCount: 1 })))
  await Promise.all([cloud.admin.deleteTopic('t'), again])
  const { Items } = await tablesOf(dynamo).send(new ScanCommand({ TableName: 'sluice.t.g' }))
  expect(Items).toEqual([])
})

it('tells of a stream that takes no more fan-out consumers', async () => {
  const { url } = await backend()
  const cloud = await open(url('&mode=efo&readyTimeoutMs=600'))
  await cloud.admin.createTopic('t', { partitions: 1 })
  const client = clientOf(cloud)
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: 't' }))
  for (let at = 0; at < 20; at++)
    await eventually(() =>
      client.send(new RegisterStreamConsumerCommand({ StreamARN: summary?.StreamARN, ConsumerName: `c${at}` })),
    )
  expect(await failure(collect(texts(cloud, 't'), 'g', 1))).toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('deleteGroup') as string,
  })
})

it('forgets the fan-out consumer of a group, whoever forgets the group', async () => {
  const { url } = await backend()
  const cloud = await open(url('&mode=efo'))
  await cloud.admin.createTopic('t', { partitions: 1 })
  const topic = texts(cloud, 't')
  await topic.send({ key: 'k', value: 'x' })
  expect(await collect(topic, 'g', 1)).toEqual(['x'])
  const client = clientOf(cloud)
  const { StreamDescriptionSummary: summary } = await client.send(new DescribeStreamSummaryCommand({ StreamName: 't' }))
  const consumers = async (): Promise<number | undefined> =>
    (await client.send(new ListStreamConsumersCommand({ StreamARN: summary?.StreamARN }))).Consumers?.length
  expect(await consumers()).toBe(1)
  await (await open(url())).admin.deleteGroup('t', 'g')
  await eventually(async () => expect(await consumers()).toBe(0))
})

it('makes streams that are encrypted, and takes none that is not for one', async () => {
  const { url } = await backend()
  await (await open(url())).admin.createTopic('plain', { partitions: 1 })
  const asked = (await open(url('&kmsKey=alias/pipeline'))).admin.createTopic('plain', { partitions: 1 })
  expect(await failure(asked)).toMatchObject({ code: 'conflict' })
  const cloud = await open(url('&kmsKey=alias/pipeline'))
  await cloud.admin.createTopic('t', { partitions: 1, retentionMs: 36 * 3_600_000 })
  const { StreamDescriptionSummary: summary } = await clientOf(cloud).send(
    new DescribeStreamSummaryCommand({ StreamName: 't' }),
  )
  expect(summary).toMatchObject({ EncryptionType: 'KMS', KeyId: 'alias/pipeline', RetentionPeriodHours: 36 })
})
