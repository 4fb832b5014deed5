import {
  DescribeStreamSummaryCommand,
  ListStreamConsumersCommand,
  UpdateMaxRecordSizeCommand,
  UpdateStreamRecordDistributionStrategyCommand,
} from '@aws-sdk/client-kinesis'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { backend, collect, failure, open, texts } from './fixtures.ts'

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
