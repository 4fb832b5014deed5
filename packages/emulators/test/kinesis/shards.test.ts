import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { asker, bytes, client, readAll, refusal, shard, start } from './fixtures.ts'
import type { Answer, Ask } from './fixtures.ts'

async function stream(shards: number): Promise<Ask> {
  const ask = asker(client(await start()))
  await ask('CreateStream', { StreamName: 's', ShardCount: shards })
  return ask
}

const half = String(2n ** 127n)

async function ranges(ask: Ask): Promise<readonly [bigint, bigint][]> {
  const { Shards } = await ask('ListShards', { StreamName: 's', ShardFilter: { Type: 'AT_LATEST' } })
  return Shards.map(({ HashKeyRange: range }: Answer) => [
    BigInt(range.StartingHashKey),
    BigInt(range.EndingHashKey),
  ]).toSorted(([a]: [bigint], [b]: [bigint]) => (a < b ? -1 : 1))
}

describe('resharding', () => {
  it('leaves a closed shard for as long as its records are kept', async () => {
    const clock = new ManualClock()
    const ask = asker(client(await start({ clock })))
    await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
    await ask('SplitShard', { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: half })
    await clock.advance(23 * 3_600_000)
    expect(await readAll(ask, 's', shard(0))).toEqual([])
    await clock.advance(2 * 3_600_000)
    expect((await refusal(readAll(ask, 's', shard(0)))).name).toBe('ResourceNotFoundException')
    expect((await ask('ListShards', { StreamName: 's' })).Shards.map(({ ShardId }: Answer) => ShardId)).toEqual([
      shard(1),
      shard(2),
    ])
  })

  it('splits a shard: the parent closes, and says so to whoever reads it to its end', async () => {
    const ask = await stream(1)
    await ask('PutRecord', { StreamName: 's', Data: bytes('before'), PartitionKey: 'a' })
    const { ShardIterator } = await ask('GetShardIterator', {
      StreamName: 's',
      ShardId: shard(0),
      ShardIteratorType: 'TRIM_HORIZON',
    })
    const first = await ask('GetRecords', { ShardIterator })
    expect([first.Records.length, first.ChildShards]).toEqual([1, undefined])
    await ask('SplitShard', { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: half })
    const last = await ask('GetRecords', { ShardIterator: first.NextShardIterator })
    expect([last.Records, last.NextShardIterator]).toEqual([[], undefined])
    expect(last.ChildShards).toEqual([
      {
        ShardId: shard(1),
        ParentShards: [shard(0)],
        HashKeyRange: { StartingHashKey: '0', EndingHashKey: String(2n ** 127n - 1n) },
      },
      {
        ShardId: shard(2),
        ParentShards: [shard(0)],
        HashKeyRange: { StartingHashKey: half, EndingHashKey: String(2n ** 128n - 1n) },
      },
    ])
    await ask('PutRecord', { StreamName: 's', Data: bytes('after'), PartitionKey: 'a' })
    expect((await readAll(ask, 's', shard(1))).length).toBe(1)
    expect(
      (await refusal(ask('SplitShard', { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: half }))).name,
    ).toBe('ResourceInUseException')
  })

  it('merges two neighbours into one with two parents', async () => {
    const ask = await stream(2)
    await ask('MergeShards', { StreamName: 's', ShardToMerge: shard(1), AdjacentShardToMerge: shard(0) })
    const { Shards } = await ask('ListShards', { StreamName: 's', ExclusiveStartShardId: shard(1) })
    expect(Shards).toMatchObject([{ ShardId: shard(2), ParentShardId: shard(1), AdjacentParentShardId: shard(0) }])
    expect(await ranges(ask)).toEqual([[0n, 2n ** 128n - 1n]])
  })

  it.each([
    [3, 5],
    [4, 2],
    [2, 3],
    [5, 4],
    [6, 12],
  ])('brings %i shards to %i of even width, without a gap', async (from, to) => {
    const ask = await stream(from)
    const answer = await ask('UpdateShardCount', {
      StreamName: 's',
      TargetShardCount: to,
      ScalingType: 'UNIFORM_SCALING',
    })
    expect(answer).toMatchObject({ CurrentShardCount: from, TargetShardCount: to })
    const all = await ranges(ask)
    expect(all.length).toBe(to)
    const widths = all.map(([start, end]) => end - start)
    const spread = (widths.toSorted((a, b) => (a < b ? -1 : 1)).at(-1) ?? 0n) - widths.reduce((a, b) => (a < b ? a : b))
    expect(spread < BigInt(to)).toBe(true)
    let next = 0n
    for (const [start, end] of all) {
      expect(start).toBe(next)
      next = end + 1n
    }
    expect(next).toBe(2n ** 128n)
  })

  it.each([
    ['UpdateShardCount', { TargetShardCount: 5, ScalingType: 'UNIFORM_SCALING' }, 'cannot scale up over double'],
    ['UpdateShardCount', { TargetShardCount: 0, ScalingType: 'UNIFORM_SCALING' }, 'greater than or equal to 1'],
    ['SplitShard', { ShardToSplit: shard(0), NewStartingHashKey: '1' }, 'is not both greater than one plus'],
    ['SplitShard', { ShardToSplit: shard(9), NewStartingHashKey: '9' }, 'does not exist'],
    ['MergeShards', { ShardToMerge: shard(0), AdjacentShardToMerge: shard(0) }, 'are not an adjacent pair'],
  ])('%s with %o is refused', async (call, input, message) => {
    const ask = await stream(2)
    expect((await refusal(ask(call, { StreamName: 's', ...input }))).message).toContain(message)
  })

  it('is allowed ten times a day', async () => {
    const ask = await stream(2)
    const to = (count: number): Promise<Answer> =>
      ask('UpdateShardCount', { StreamName: 's', TargetShardCount: count, ScalingType: 'UNIFORM_SCALING' })
    for (let time = 0; time < 10; time++) await to(time % 2 === 0 ? 3 : 2)
    expect((await refusal(to(3))).name).toBe('LimitExceededException')
  })
})

describe('lists of shards', () => {
  it('come in pages, whose tokens cannot be combined with a name', async () => {
    const ask = await stream(5)
    const first = await ask('ListShards', { StreamName: 's', MaxResults: 3 })
    const second = await ask('ListShards', { NextToken: first.NextToken, MaxResults: 3 })
    expect([...first.Shards, ...second.Shards].map(({ ShardId }) => ShardId)).toEqual([0, 1, 2, 3, 4].map(shard))
    expect(second.NextToken).toBeUndefined()
    expect((await refusal(ask('ListShards', { StreamName: 's', NextToken: first.NextToken }))).name).toBe(
      'InvalidArgumentException',
    )
    expect((await refusal(ask('ListShards', { NextToken: 'x' }))).name).toBe('InvalidArgumentException')
  })

  it('are filtered', async () => {
    const ask = await stream(2)
    await ask('MergeShards', { StreamName: 's', ShardToMerge: shard(0), AdjacentShardToMerge: shard(1) })
    const list = async (filter: object): Promise<string[]> =>
      (await ask('ListShards', { StreamName: 's', ShardFilter: filter })).Shards.map(({ ShardId }: Answer) => ShardId)
    expect(await list({ Type: 'AT_LATEST' })).toEqual([shard(2)])
    expect(await list({ Type: 'AT_TRIM_HORIZON' })).toEqual([shard(0), shard(1)])
    expect(await list({ Type: 'FROM_TRIM_HORIZON' })).toEqual([shard(0), shard(1), shard(2)])
    expect(await list({ Type: 'AFTER_SHARD_ID', ShardId: shard(0) })).toEqual([shard(1), shard(2)])
    expect(await list({ Type: 'FROM_TIMESTAMP', Timestamp: new Date(0) })).toEqual([shard(0), shard(1), shard(2)])
  })
})
