import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { asker, client, readAll, refusal, shard, start } from './fixtures.ts'
import type { Answer, Ask } from './fixtures.ts'

const arn = 'arn:aws:kinesis:eu-west-1:000000000000:stream/s'

async function stream(input: object = { ShardCount: 1 }, options = {}): Promise<Ask> {
  const ask = asker(client(await start(options)))
  await ask('CreateStream', { StreamName: 's', ...input })
  return ask
}

async function summary(ask: Ask): Promise<Answer> {
  return (await ask('DescribeStreamSummary', { StreamName: 's' })).StreamDescriptionSummary
}

describe('a stream', () => {
  it('takes time to be made, changed and deleted, by a clock that tests control', async () => {
    const clock = new ManualClock()
    const ask = await stream({ ShardCount: 1 }, { clock, stateMs: 1_000 })
    const status = async (): Promise<string> => (await summary(ask)).StreamStatus
    expect(await status()).toBe('CREATING')
    const put = { StreamName: 's', Data: Buffer.alloc(1), PartitionKey: 'k' }
    expect((await refusal(ask('PutRecord', put))).name).toBe('ResourceNotFoundException')
    expect((await refusal(ask('CreateStream', { StreamName: 's', ShardCount: 1 }))).name).toBe('ResourceInUseException')
    await clock.advance(1_000)
    expect(await status()).toBe('ACTIVE')
    const half = { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: String(2n ** 127n) }
    await ask('SplitShard', half)
    expect(await status()).toBe('UPDATING')
    // Until it is done the parent takes records.
    expect((await ask('PutRecord', put)).ShardId).toBe(shard(0))
    expect(await refusal(ask('SplitShard', half))).toMatchObject({
      name: 'ResourceInUseException',
      message: 'Stream s under account 000000000000 not ACTIVE, instead in state UPDATING',
    })
    await clock.advance(1_000)
    expect((await ask('PutRecord', put)).ShardId).not.toBe(shard(0))
    await ask('DeleteStream', { StreamName: 's' })
    expect(await status()).toBe('DELETING')
    await clock.advance(1_000)
    expect((await refusal(summary(ask))).message).toBe('Stream s under account 000000000000 not found.')
  })

  it('is in the region that a request was signed for', async () => {
    const server = await start()
    await asker(client(server))('CreateStream', { StreamName: 's', ShardCount: 1 })
    const elsewhere = asker(client(server, { region: 'us-east-1' }))
    expect((await elsewhere('ListStreams')).StreamNames).toEqual([])
    expect((await refusal(elsewhere('DescribeStreamSummary', { StreamARN: arn }))).name).toBe(
      'ResourceNotFoundException',
    )
  })

  it('on demand has four shards, and may spread records as it likes', async () => {
    const ask = await stream({ StreamModeDetails: { StreamMode: 'ON_DEMAND' } })
    expect(await summary(ask)).toMatchObject({
      OpenShardCount: 4,
      StreamModeDetails: { StreamMode: 'ON_DEMAND' },
      RecordDistributionStrategy: 'USER_PARTITION_KEY',
    })
    const scale = { StreamName: 's', TargetShardCount: 5, ScalingType: 'UNIFORM_SCALING' }
    expect((await refusal(ask('UpdateShardCount', scale))).name).toBe('ValidationException')
    await ask('UpdateStreamRecordDistributionStrategy', { StreamARN: arn, RecordDistributionStrategy: 'AUTO' })
    expect((await summary(ask)).RecordDistributionStrategy).toBe('AUTO')
    const shards = new Set<string>()
    for (let at = 0; at < 8; at++)
      shards.add((await ask('PutRecord', { StreamName: 's', Data: Buffer.alloc(1), PartitionKey: 'k' })).ShardId)
    expect(shards.size).toBe(4)
  })

  it('keeps records between 24 hours and 365 days', async () => {
    const ask = await stream()
    const to = (call: string, RetentionPeriodHours: number): Promise<Answer> =>
      ask(`${call}StreamRetentionPeriod`, { StreamName: 's', RetentionPeriodHours })
    await to('Increase', 8_760)
    expect((await summary(ask)).RetentionPeriodHours).toBe(8_760)
    await to('Decrease', 24)
    expect((await refusal(to('Increase', 8_761))).message).toBe(
      'Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.',
    )
    expect((await refusal(to('Decrease', 23))).message).toContain('Minimum allowed retention period is 24 hours.')
    expect((await refusal(to('Decrease', 25))).message).toContain('can not be longer than existing retention period')
  })

  it('takes records up to its own limit', async () => {
    const ask = await stream({ ShardCount: 1, MaxRecordSizeInKiB: 2_048 })
    const put = (size: number): Promise<Answer> =>
      ask('PutRecord', { StreamName: 's', Data: Buffer.alloc(size - 1), PartitionKey: 'k' })
    await put(2_048 * 1_024)
    expect((await refusal(put(2_048 * 1_024 + 1))).name).toBe('InvalidArgumentException')
    await ask('UpdateMaxRecordSize', { StreamARN: arn, MaxRecordSizeInKiB: 10_240 })
    await put(10_240 * 1_024)
    expect((await refusal(ask('UpdateMaxRecordSize', { StreamARN: arn, MaxRecordSizeInKiB: 10_241 }))).name).toBe(
      'ValidationException',
    )
  })

  it('has tags, encryption, metrics and a policy', async () => {
    const ask = await stream({ ShardCount: 1, Tags: { team: 'data' } })
    await ask('AddTagsToStream', { StreamName: 's', Tags: { env: 'test' } })
    await ask('TagResource', { ResourceARN: arn, Tags: { more: '1' } })
    await ask('RemoveTagsFromStream', { StreamName: 's', TagKeys: ['team'] })
    expect(await ask('ListTagsForStream', { StreamName: 's', Limit: 1 })).toMatchObject({
      Tags: [{ Key: 'env', Value: 'test' }],
      HasMoreTags: true,
    })
    expect((await ask('ListTagsForResource', { ResourceARN: arn })).Tags.length).toBe(2)
    await ask('StartStreamEncryption', { StreamName: 's', EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' })
    expect(await summary(ask)).toMatchObject({ EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' })
    const put = { StreamName: 's', Data: Buffer.alloc(1), PartitionKey: 'k' }
    expect((await ask('PutRecord', put)).EncryptionType).toBe('KMS')
    await ask('StopStreamEncryption', { StreamName: 's', EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' })
    const monitored = await ask('EnableEnhancedMonitoring', { StreamName: 's', ShardLevelMetrics: ['ALL'] })
    expect([monitored.CurrentShardLevelMetrics.length, monitored.DesiredShardLevelMetrics.length]).toEqual([0, 7])
    await ask('PutResourcePolicy', { ResourceARN: arn, Policy: '{}' })
    expect((await ask('GetResourcePolicy', { ResourceARN: arn })).Policy).toBe('{}')
    await ask('DeleteResourcePolicy', { ResourceARN: arn })
    expect((await refusal(ask('GetResourcePolicy', { ResourceARN: arn }))).name).toBe('ResourceNotFoundException')
  })

  it('with registered consumers is deleted only when that is wanted', async () => {
    const ask = await stream()
    for (let at = 0; at < 3; at++) await ask('RegisterStreamConsumer', { StreamARN: arn, ConsumerName: `c${at}` })
    const first = await ask('ListStreamConsumers', { StreamARN: arn, MaxResults: 2 })
    const second = await ask('ListStreamConsumers', { StreamARN: arn, NextToken: first.NextToken })
    expect([...first.Consumers, ...second.Consumers].map(({ ConsumerName }) => ConsumerName)).toEqual([
      'c0',
      'c1',
      'c2',
    ])
    expect((await refusal(ask('DeleteStream', { StreamName: 's' }))).name).toBe('ResourceInUseException')
    await ask('DeleteStream', { StreamName: 's', EnforceConsumerDeletion: true })
    expect((await ask('ListStreams')).StreamNames).toEqual([])
  })

  it('is one of many, in pages', async () => {
    const ask = asker(client(await start()))
    for (const name of ['b', 'a', 'c']) await ask('CreateStream', { StreamName: name, ShardCount: 1 })
    const first = await ask('ListStreams', { Limit: 2 })
    expect([first.StreamNames, first.HasMoreStreams]).toEqual([['a', 'b'], true])
    expect((await ask('ListStreams', { NextToken: first.NextToken })).StreamNames).toEqual(['c'])
    expect((await ask('ListStreams', { ExclusiveStartStreamName: 'b' })).StreamNames).toEqual(['c'])
  })

  it('counts against the limit of shards', async () => {
    const ask = await stream({ ShardCount: 3 }, { shardLimit: 5 })
    expect(await ask('DescribeLimits')).toMatchObject({ ShardLimit: 5, OpenShardCount: 3 })
    const { name, message } = await refusal(ask('CreateStream', { StreamName: 't', ShardCount: 3 }))
    expect(name).toBe('LimitExceededException')
    expect(message).toContain('Current shard count for the account: 3. Limit: 5.')
  })
})

describe('what goes wrong on the way', () => {
  it('leaves no stream behind that was refused', async () => {
    const ask = asker(client(await start()))
    const Tags = Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`tag-${at}`, 'x']))
    expect((await refusal(ask('CreateStream', { StreamName: 's', ShardCount: 1, Tags }))).name).toBe(
      'InvalidArgumentException',
    )
    await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  })

  it('takes a consumer away once, and not the next of its name', async () => {
    const clock = new ManualClock()
    const ask = await stream({ ShardCount: 1 }, { clock, stateMs: 300 })
    await clock.advance(300)
    const consumer = { StreamARN: arn, ConsumerName: 'c' }
    await ask('RegisterStreamConsumer', consumer)
    await clock.advance(300)
    await ask('DeregisterStreamConsumer', consumer)
    await clock.advance(200)
    await ask('DeregisterStreamConsumer', consumer)
    await clock.advance(150)
    await ask('RegisterStreamConsumer', consumer)
    await clock.advance(500)
    expect((await ask('DescribeStreamConsumer', consumer)).ConsumerDescription.ConsumerStatus).toBe('ACTIVE')
  })

  it('loses no record of a shard that was closed while the clock was behind', async () => {
    const clock = new ManualClock()
    const ask = await stream({ ShardCount: 1 }, { clock })
    await ask('PutRecord', { StreamName: 's', Data: Buffer.alloc(1), PartitionKey: 'k' })
    clock.jump(-2 * 86_400_000)
    await ask('SplitShard', { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: String(2n ** 127n) })
    clock.jump(2 * 86_400_000 + 60_000)
    expect((await readAll(ask, 's', shard(0))).length).toBe(1)
  })
})

describe('a consumer', () => {
  it('has tags and a policy of its own', async () => {
    const ask = await stream()
    await ask('RegisterStreamConsumer', { StreamARN: arn, ConsumerName: 'c', Tags: { a: '1' } })
    const { ConsumerDescription } = await ask('DescribeStreamConsumer', { StreamARN: arn, ConsumerName: 'c' })
    const { ConsumerARN } = ConsumerDescription
    await ask('TagResource', { ResourceARN: ConsumerARN, Tags: { b: '2' } })
    await ask('PutResourcePolicy', { ResourceARN: ConsumerARN, Policy: '{}' })
    expect((await ask('ListTagsForResource', { ResourceARN: ConsumerARN })).Tags.length).toBe(2)
    expect((await ask('ListTagsForStream', { StreamName: 's' })).Tags).toEqual([])
    expect((await refusal(ask('GetResourcePolicy', { ResourceARN: arn }))).name).toBe('ResourceNotFoundException')
  })
})

describe('limits', () => {
  it('of lists hold whatever is asked for', async () => {
    const ask = await stream({ ShardCount: 1_050 }, { shardLimit: 2_000 })
    const { StreamDescription } = await ask('DescribeStream', { StreamName: 's', Limit: 10_000 })
    expect([StreamDescription.Shards.length, StreamDescription.HasMoreShards]).toEqual([100, true])
    expect((await ask('ListShards', { StreamName: 's', MaxResults: 10_000 })).Shards.length).toBe(1_000)
  })

  it('of shards count those that are being made', async () => {
    const ask = await stream({ ShardCount: 400 }, { clock: new ManualClock(), stateMs: 1_000 })
    expect((await refusal(ask('CreateStream', { StreamName: 't', ShardCount: 400 }))).name).toBe(
      'LimitExceededException',
    )
  })

  it('of streams that are made at a time, and of changes of a mode', async () => {
    const clock = new ManualClock()
    const ask = asker(client(await start({ quotas: true, clock, stateMs: 1_000 })))
    for (let at = 0; at < 5; at++) {
      await ask('CreateStream', { StreamName: `s${at}`, ShardCount: 1 })
      await clock.advance(100)
    }
    expect((await refusal(ask('CreateStream', { StreamName: 't', ShardCount: 1 }))).message).toContain('CREATING state')
    await clock.advance(2_000)
    const toggle = async (StreamMode: string): Promise<unknown> => {
      await ask('UpdateStreamMode', { StreamARN: `${arn}0`, StreamModeDetails: { StreamMode } })
      return clock.advance(2_000)
    }
    await toggle('ON_DEMAND')
    await toggle('PROVISIONED')
    expect((await refusal(toggle('ON_DEMAND'))).name).toBe('LimitExceededException')
  })

  it('of calls are counted for each region, and for the stream of a consumer', async () => {
    const server = await start({ quotas: true, clock: new ManualClock() })
    const [here, there] = [asker(client(server)), asker(client(server, { region: 'us-east-1' }))]
    for (let time = 0; time < 5; time++) await here('ListStreams')
    expect((await refusal(here('ListStreams'))).name).toBe('LimitExceededException')
    await there('ListStreams')
  })
})

describe('a request that is not right', () => {
  it.each([
    [
      'CreateStream',
      { StreamName: '', ShardCount: 1 },
      "Value '' at 'streamName' failed to satisfy constraint: Member must satisfy",
    ],
    [
      'CreateStream',
      { StreamName: 'x'.repeat(129), ShardCount: 1 },
      'Member must have length less than or equal to 128',
    ],
    [
      'PutRecords',
      { StreamName: 's', Records: [] },
      "at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ],
    [
      'PutRecords',
      { StreamName: 's', Records: Array.from({ length: 501 }, () => ({ Data: Buffer.alloc(0), PartitionKey: 'k' })) },
      'Member must have length less than or equal to 500',
    ],
    [
      'PutRecords',
      { StreamName: 's', Records: [{ Data: Buffer.alloc(0), PartitionKey: '' }] },
      "Value '' at 'records.1.member.partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
    ],
    [
      'PutRecord',
      { StreamName: 's', Data: Buffer.alloc(0), PartitionKey: 'k', ExplicitHashKey: '01' },
      String.raw`Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})`,
    ],
    [
      'GetRecords',
      { ShardIterator: 'x', Limit: 10_001 },
      "Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
    ],
    [
      'GetShardIterator',
      { StreamName: 's', ShardId: 'x', ShardIteratorType: 'NOW' },
      'Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]',
    ],
    [
      'MergeShards',
      { StreamName: 's' },
      "Value null at 'shardToMerge' failed to satisfy constraint: Member must not be null",
    ],
  ])('%s %o is told as the service tells it', async (call, input, text) => {
    const ask = await stream()
    const { name, message } = await refusal(ask(call, input))
    expect(name).toBe('ValidationException')
    expect(message).toContain(text)
  })

  it('is told all its problems at once', async () => {
    const ask = await stream()
    const { message } = await refusal(ask('MergeShards', { StreamName: '!' }))
    expect(message).toMatch(/^3 validation errors detected: Value '!' at 'streamName'.*; Value null at 'shardToMerge'/)
  })

  it('of 10 MiB and more is refused', async () => {
    const ask = await stream()
    const records = (size: number): object[] =>
      Array.from({ length: 11 }, () => ({ Data: Buffer.alloc(size), PartitionKey: 'k' }))
    const fits = Math.floor((10 * 1024 * 1024) / 11) - 1
    await ask('PutRecords', { StreamName: 's', Records: records(fits) })
    expect(await refusal(ask('PutRecords', { StreamName: 's', Records: records(fits + 1) }))).toMatchObject({
      name: 'InvalidArgumentException',
      message: 'Records size exceeds 10 MB limit',
    })
  })

  it('that would do only on trial does nothing', async () => {
    const ask = await stream()
    const put = { StreamName: 's', Data: Buffer.alloc(1), PartitionKey: 'k', DryRun: true }
    expect((await refusal(ask('PutRecord', put))).name).toBe('DryRunOperationException')
    expect((await refusal(ask('PutRecord', { ...put, StreamName: 'none' }))).name).toBe('ResourceNotFoundException')
  })
})
