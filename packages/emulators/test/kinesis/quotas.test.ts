import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { asker, bytes, client, refusal, shard, start } from './fixtures.ts'
import type { Answer, Ask } from './fixtures.ts'

interface Bench {
  readonly ask: Ask
  readonly clock: ManualClock
  /** How many of so many records were stored. */
  put(count: number, size?: number): Promise<number>
}

async function bench(): Promise<Bench> {
  const clock = new ManualClock()
  const ask = asker(client(await start({ quotas: true, clock })))
  await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  const put = async (count: number, size = 1): Promise<number> => {
    const records = Array.from({ length: count }, () => ({ Data: Buffer.alloc(size), PartitionKey: 'k' }))
    return count - (await ask('PutRecords', { StreamName: 's', Records: records })).FailedRecordCount
  }
  return { ask, clock, put }
}

describe('a shard', () => {
  it('takes 1 000 records a second, and fails the others of a request one by one', async () => {
    const { ask, clock, put } = await bench()
    expect([await put(500), await put(400), await put(300)]).toEqual([500, 400, 100])
    const record = { StreamName: 's', Data: bytes('x'), PartitionKey: 'k' }
    expect(await refusal(ask('PutRecord', record))).toEqual({
      name: 'ProvisionedThroughputExceededException',
      message: `Rate exceeded for shard ${shard(0)} in stream s under account 000000000000.`,
      status: 400,
    })
    const { Records } = await ask('PutRecords', { StreamName: 's', Records: [record] })
    expect(Records).toEqual([
      {
        ErrorCode: 'ProvisionedThroughputExceededException',
        ErrorMessage: `Rate exceeded for shard ${shard(0)} in stream s under account 000000000000.`,
      },
    ])
    await clock.advance(100)
    expect(await put(200)).toBe(100)
  })

  it('takes 1 MiB a second', async () => {
    const { clock, put } = await bench()
    expect([await put(4, 256 * 1024 - 1), await put(1, 10)]).toEqual([4, 0])
    await clock.advance(500)
    expect([await put(3, 256 * 1024 - 1)]).toEqual([2])
  })

  it('is read five times a second', async () => {
    const { ask, clock } = await bench()
    const { ShardIterator } = await ask('GetShardIterator', {
      StreamName: 's',
      ShardId: shard(0),
      ShardIteratorType: 'LATEST',
    })
    const read = (): Promise<Answer> => ask('GetRecords', { ShardIterator })
    for (let time = 0; time < 5; time++) await read()
    expect((await refusal(read())).name).toBe('ProvisionedThroughputExceededException')
    await clock.advance(200)
    await read()
  })

  it('is silent for five seconds after it gave out 10 MiB', async () => {
    const { ask, clock, put } = await bench()
    for (let second = 0; second < 10; second++) {
      await put(1, 1024 * 1024 - 1)
      await clock.advance(1_000)
    }
    const { ShardIterator } = await ask('GetShardIterator', {
      StreamName: 's',
      ShardId: shard(0),
      ShardIteratorType: 'TRIM_HORIZON',
    })
    const { Records, NextShardIterator } = await ask('GetRecords', { ShardIterator })
    expect(Records.length).toBe(10)
    await clock.advance(4_900)
    expect((await refusal(ask('GetRecords', { ShardIterator: NextShardIterator }))).name).toBe(
      'ProvisionedThroughputExceededException',
    )
    await clock.advance(200)
    await ask('GetRecords', { ShardIterator: NextShardIterator })
  })

  it('that is hot leaves the others alone', async () => {
    const ask = asker(client(await start({ quotas: true, clock: new ManualClock() })))
    await ask('CreateStream', { StreamName: 's', ShardCount: 2 })
    const records = (key: string): object[] =>
      Array.from({ length: 500 }, () => ({ Data: bytes('x'), PartitionKey: key }))
    // md5('a') lies in the first shard, md5('b') in the second.
    for (let time = 0; time < 2; time++) await ask('PutRecords', { StreamName: 's', Records: records('a') })
    const hot = await ask('PutRecords', { StreamName: 's', Records: records('a') })
    const cold = await ask('PutRecords', { StreamName: 's', Records: records('b') })
    expect([hot.FailedRecordCount, cold.FailedRecordCount]).toEqual([500, 0])
  })
})

it('calls of the control plane are counted for the account or the stream', async () => {
  const { ask, clock } = await bench()
  for (let time = 0; time < 20; time++) await ask('DescribeStreamSummary', { StreamName: 's' })
  const { name, message } = await refusal(ask('DescribeStreamSummary', { StreamName: 's' }))
  expect([name, message]).toEqual(['LimitExceededException', 'Rate exceeded for account 000000000000.'])
  await clock.advance(50)
  await ask('DescribeStreamSummary', { StreamName: 's' })
})
