import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { parseSequence, SequenceForm } from '../../src/kinesis/sequence.ts'
import { asker, bytes, client, readAll, refusal, shard, start } from './fixtures.ts'
import type { Ask } from './fixtures.ts'

async function oneShard(options = {}): Promise<{ ask: Ask; put(count: number, key?: string): Promise<string[]> }> {
  const ask = asker(client(await start(options)))
  await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
  return {
    ask,
    put: async (count, key = 'k') => {
      const records = Array.from({ length: count }, (_, at) => ({ Data: bytes(`${key}${at}`), PartitionKey: key }))
      const { Records } = await ask('PutRecords', { StreamName: 's', Records: records })
      return Records.map((record: { SequenceNumber: string }) => record.SequenceNumber)
    },
  }
}

async function iterator(ask: Ask, more: object): Promise<string> {
  const answer = await ask('GetShardIterator', { StreamName: 's', ShardId: shard(0), ...more })
  return answer.ShardIterator
}

describe('records', () => {
  it('come back in order, byte for byte, with their keys', async () => {
    const ask = asker(client(await start()))
    await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
    const every = Buffer.from(Array.from({ length: 256 }, (_, value) => value))
    await ask('PutRecord', { StreamName: 's', Data: every, PartitionKey: 'ключ' })
    await ask('PutRecord', { StreamName: 's', Data: Buffer.alloc(0), PartitionKey: 'b' })
    const records = await readAll(ask, 's', shard(0))
    expect(records.map(({ PartitionKey }) => PartitionKey)).toEqual(['ключ', 'b'])
    expect(Buffer.from(records[0].Data)).toEqual(every)
    expect(records[1].Data.length).toBe(0)
  })

  it('go to the shard whose range has the MD5 of their key, or the hash key that they name', async () => {
    const ask = asker(client(await start()))
    await ask('CreateStream', { StreamName: 's', ShardCount: 4 })
    // md5('a') begins with 0c, md5('b') with 92, md5('c') with 4a.
    const put = async (record: object): Promise<string> =>
      (await ask('PutRecord', { StreamName: 's', Data: bytes('x'), ...record })).ShardId
    expect([
      await put({ PartitionKey: 'a' }),
      await put({ PartitionKey: 'b' }),
      await put({ PartitionKey: 'c' }),
      await put({ PartitionKey: 'a', ExplicitHashKey: '340282366920938463463374607431768211455' }),
      await put({ PartitionKey: 'a', ExplicitHashKey: '0' }),
    ]).toEqual([shard(0), shard(2), shard(1), shard(3), shard(0)])
  })

  it('are read from each kind of position', async () => {
    const clock = new ManualClock()
    const { ask, put } = await oneShard({ clock })
    const [, second] = await put(3)
    await clock.advance(5_000)
    const between = new Date(clock.now() - 1_000)
    await put(1, 'late')
    const texts = async (more: object): Promise<string[]> => {
      const { Records } = await ask('GetRecords', { ShardIterator: await iterator(ask, more) })
      return Records.map((record: { Data: Uint8Array }) => Buffer.from(record.Data).toString())
    }
    expect(await texts({ ShardIteratorType: 'TRIM_HORIZON' })).toEqual(['k0', 'k1', 'k2', 'late0'])
    expect(await texts({ ShardIteratorType: 'LATEST' })).toEqual([])
    const at = { StartingSequenceNumber: second }
    expect(await texts({ ShardIteratorType: 'AT_SEQUENCE_NUMBER', ...at })).toEqual(['k1', 'k2', 'late0'])
    expect(await texts({ ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', ...at })).toEqual(['k2', 'late0'])
    expect(await texts({ ShardIteratorType: 'AT_TIMESTAMP', Timestamp: between })).toEqual(['late0'])
  })

  it('are counted in milliseconds behind the tip, and bounded by the limit asked for', async () => {
    const clock = new ManualClock()
    const { ask, put } = await oneShard({ clock })
    await put(2)
    await clock.advance(3_000)
    const first = await ask('GetRecords', {
      ShardIterator: await iterator(ask, { ShardIteratorType: 'TRIM_HORIZON' }),
      Limit: 1,
    })
    expect([first.Records.length, first.MillisBehindLatest]).toEqual([1, 3_000])
    const rest = await ask('GetRecords', { ShardIterator: first.NextShardIterator })
    expect([rest.Records.length, rest.MillisBehindLatest]).toEqual([1, 0])
  })

  it('of one answer are 10 MiB at most', async () => {
    const { ask } = await oneShard()
    for (let at = 0; at < 12; at++)
      await ask('PutRecord', { StreamName: 's', Data: Buffer.alloc(1024 * 1024 - 1), PartitionKey: 'k' })
    const first = await ask('GetRecords', { ShardIterator: await iterator(ask, { ShardIteratorType: 'TRIM_HORIZON' }) })
    expect(first.Records.length).toBe(10)
    expect((await ask('GetRecords', { ShardIterator: first.NextShardIterator })).Records.length).toBe(2)
  })

  it('go when they are older than the retention', async () => {
    const clock = new ManualClock()
    const { ask, put } = await oneShard({ clock })
    const [first] = await put(2)
    await clock.advance(25 * 3_600_000)
    await put(1, 'new')
    expect((await readAll(ask, 's', shard(0))).map(({ PartitionKey }) => PartitionKey)).toEqual(['new'])
    // A position before the oldest record is that of the oldest.
    const from = await iterator(ask, { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: first })
    expect((await ask('GetRecords', { ShardIterator: from })).Records.length).toBe(1)
  })
})

describe('sequence numbers', () => {
  it('are formed as in the documentation of AWS', () => {
    const documented = '49546986683135544286507457936321625675700192471156785154'
    const parsed = parseSequence(documented)
    expect(parsed).toEqual({ madeSecond: 1_421_279_230, place: 469, second: 1_421_279_386, shardIndex: 0 })
    expect(new SequenceForm(1_421_279_230, 0).at(469, 1_421_279_386)).toBe(documented)
  })

  it.each(['0', '1', '4954698668313554428650745793632162567570019247115678515', '9'.repeat(56), 'x'])(
    '%s is none',
    (text) => expect(parseSequence(text)).toBeUndefined(),
  )

  it('of children are above those of their parents', async () => {
    const ask = asker(client(await start()))
    await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
    const { SequenceNumber: before } = await ask('PutRecord', { StreamName: 's', Data: bytes('x'), PartitionKey: 'a' })
    const half = String(2n ** 127n)
    await ask('SplitShard', { StreamName: 's', ShardToSplit: shard(0), NewStartingHashKey: half })
    const { SequenceNumber: after } = await ask('PutRecord', { StreamName: 's', Data: bytes('x'), PartitionKey: 'a' })
    const { Shards } = await ask('ListShards', { StreamName: 's' })
    const end = BigInt(Shards[0].SequenceNumberRange.EndingSequenceNumber)
    expect(BigInt(before) < end && end < BigInt(Shards[1].SequenceNumberRange.StartingSequenceNumber)).toBe(true)
    expect(BigInt(before) < BigInt(after)).toBe(true)
  })
})

describe('iterators', () => {
  it('expire after five minutes', async () => {
    const clock = new ManualClock()
    const { ask } = await oneShard({ clock })
    const token = await iterator(ask, { ShardIteratorType: 'LATEST' })
    await clock.advance(300_000)
    await ask('GetRecords', { ShardIterator: token })
    await clock.advance(1)
    const { name, message } = await refusal(ask('GetRecords', { ShardIterator: token }))
    expect(name).toBe('ExpiredIteratorException')
    expect(message).toContain('tolerated delay of 300000 milliseconds')
  })

  it('of a stream that was deleted and made again are worth nothing', async () => {
    const clock = new ManualClock()
    const { ask } = await oneShard({ clock })
    const token = await iterator(ask, { ShardIteratorType: 'LATEST' })
    await ask('DeleteStream', { StreamName: 's' })
    expect((await refusal(ask('GetRecords', { ShardIterator: token }))).name).toBe('ResourceNotFoundException')
    await clock.advance(10)
    await ask('CreateStream', { StreamName: 's', ShardCount: 1 })
    expect((await refusal(ask('GetRecords', { ShardIterator: token }))).name).toBe('ResourceNotFoundException')
  })

  it.each([
    ['LATEST', { StartingSequenceNumber: '1' }, 'Request specified LATEST and also a StartingSequenceNumber.'],
    ['AT_SEQUENCE_NUMBER', {}, 'Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber.'],
    ['AT_SEQUENCE_NUMBER', { StartingSequenceNumber: '1' }, 'did not come from this stream'],
    ['AT_TIMESTAMP', {}, 'Must specify timestampInMillis'],
    ['AT_TIMESTAMP', { Timestamp: new Date(4e12) }, 'cannot be greater than the currentTimestampInMillis'],
  ])('at %s with %o are refused', async (ShardIteratorType, more, message) => {
    const { ask } = await oneShard()
    const refused = await refusal(iterator(ask, { ShardIteratorType, ...more }))
    expect(refused.name).toBe('InvalidArgumentException')
    expect(refused.message).toContain(message)
  })

  it('at a sequence number that was never given out are refused', async () => {
    const { ask, put } = await oneShard()
    const [first = ''] = await put(1)
    const next = String(BigInt(first) + (1n << 80n))
    const more = { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: next }
    expect((await refusal(iterator(ask, more))).message).toContain('did not come from this stream')
  })
})
