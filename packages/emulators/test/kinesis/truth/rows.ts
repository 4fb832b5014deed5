import { setTimeout as wait } from 'node:timers/promises'
import { eventually } from '@sluice/driver/testing'
import { expect } from 'vitest'
import { bytes, refusal, shard, untilActive } from '../fixtures.ts'
import type { Answer, Ask } from '../fixtures.ts'

/** Servers whose answers are compared. */
export type ServerName = 'sluice' | 'kinesalite' | 'kinesis-local' | 'localstack'

/** What one server is asked, with a stream of a name of its own. */
export interface Question {
  readonly ask: Ask
  /** A name that no stream has; the one that gets it goes at the end. */
  fresh(): string
  /** A stream that is active. */
  stream(shards?: number): Promise<string>
}

/** Calls, and what the service answers to them. */
export interface Row {
  readonly name: string
  run(question: Question): Promise<unknown>
  /** What the service answers, by its documentation or by AWS's own examples. */
  readonly answer: unknown
  /** What others answer instead; checked too, so that an entry goes when the server is mended. */
  readonly others?: Partial<Record<Exclude<ServerName, 'sluice'>, unknown>>
}

const half = String(2n ** 127n)

/** The name of the error alone: its text is not documented. */
async function nameOf(promise: Promise<unknown>): Promise<string> {
  return (await refusal(promise)).name
}

async function textOf(promise: Promise<unknown>): Promise<string> {
  const { name, message } = await refusal(promise)
  return `${name}: ${message}`.replaceAll(/[a-z]+-\d+-[a-z0-9]+/g, 'NAME')
}

function put(ask: Ask, StreamName: string, more: object = {}): Promise<Answer> {
  return ask('PutRecord', { StreamName, Data: bytes('x'), PartitionKey: 'k', ...more })
}

async function iterator(ask: Ask, StreamName: string, more: object = {}): Promise<string> {
  const input = { StreamName, ShardId: shard(0), ShardIteratorType: 'TRIM_HORIZON', ...more }
  return (await ask('GetShardIterator', input)).ShardIterator
}

async function split(ask: Ask, StreamName: string): Promise<void> {
  await ask('SplitShard', { StreamName, ShardToSplit: shard(0), NewStartingHashKey: half })
  await untilActive(ask, StreamName)
}

async function shardsOf(ask: Ask, StreamName: string): Promise<Answer[]> {
  return (await ask('ListShards', { StreamName })).Shards
}

async function consumer(ask: Ask, name: string): Promise<string> {
  const { StreamDescriptionSummary } = await ask('DescribeStreamSummary', { StreamName: name })
  const { StreamARN } = StreamDescriptionSummary
  const { Consumer } = await ask('RegisterStreamConsumer', { StreamARN, ConsumerName: 'c' })
  await eventually(async () => {
    const { ConsumerDescription } = await ask('DescribeStreamConsumer', { ConsumerARN: Consumer.ConsumerARN })
    if (ConsumerDescription.ConsumerStatus !== 'ACTIVE') throw new Error('not active')
  })
  return Consumer.ConsumerARN
}

/** Says of what is not encrypted that it is not. */
const notEncrypted = [
  ['EncryptionType', 'SequenceNumber', 'ShardId'],
  ['ApproximateArrivalTimestamp', 'Data', 'EncryptionType', 'PartitionKey', 'SequenceNumber'],
]

export const rows: readonly Row[] = [
  {
    name: 'a stream that is there already',
    run: async ({ ask, stream }) => nameOf(ask('CreateStream', { StreamName: await stream(), ShardCount: 1 })),
    answer: 'ResourceInUseException',
  },
  {
    name: 'a stream that is not there',
    run: ({ ask }) => textOf(ask('DescribeStream', { StreamName: 'none' })),
    answer: 'ResourceNotFoundException: Stream none under account 000000000000 not found.',
    others: {
      'kinesis-local': expect.stringMatching(/^ResourceNotFoundException: Stream arn/),
      localstack: 'ResourceNotFoundException: Stream arn arn:aws:kinesis:us-east-1:000000000000:stream/none not found',
    },
  },
  {
    name: 'a record for a stream that is not there',
    run: ({ ask }) => nameOf(put(ask, 'none')),
    answer: 'ResourceNotFoundException',
  },
  {
    name: 'a stream of which nothing is said',
    run: async ({ ask, fresh }) => {
      const StreamName = fresh()
      await ask('CreateStream', { StreamName })
      await untilActive(ask, StreamName)
      return (await shardsOf(ask, StreamName)).length
    },
    answer: 4,
    others: { kinesalite: 'ValidationException' },
  },
  {
    name: 'hash ranges of three shards',
    run: async ({ ask, stream }) =>
      (await shardsOf(ask, await stream(3))).map(
        ({ HashKeyRange: range }) => `${range.StartingHashKey}-${range.EndingHashKey}`,
      ),
    // 2^128 / 3, the last taking what is left. Source: API reference, example of `DescribeStream`, scaled.
    answer: [
      '0-113427455640312821154458202477256070484',
      '113427455640312821154458202477256070485-226854911280625642308916404954512140969',
      '226854911280625642308916404954512140970-340282366920938463463374607431768211455',
    ],
  },
  {
    name: 'a name with a character that it may not have, and no shards',
    run: ({ ask }) => textOf(ask('CreateStream', { StreamName: 'a b', ShardCount: 0 })),
    answer:
      "ValidationException: 2 validation errors detected: Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1",
    others: {
      // The same problems, the other way round.
      kinesalite:
        "ValidationException: 2 validation errors detected: Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1; Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
      'kinesis-local': expect.stringContaining('InvalidArgumentException: Stream Name'),
      // The first problem alone.
      localstack: "InvalidArgumentException: Stream Name 'a b' contains invalid characters",
    },
  },
  {
    name: 'a request of 501 records',
    run: async ({ ask, stream }) => {
      const Records = Array.from({ length: 501 }, () => ({ Data: bytes('x'), PartitionKey: 'k' }))
      return nameOf(ask('PutRecords', { StreamName: await stream(), Records }))
    },
    answer: 'ValidationException',
    others: { 'kinesis-local': 'accepted', localstack: 'accepted' },
  },
  {
    name: 'a record of more than the stream takes',
    run: async ({ ask, stream }) => nameOf(put(ask, await stream(), { Data: Buffer.alloc(1024 * 1024) })),
    answer: 'InvalidArgumentException',
    others: { kinesalite: 'accepted', 'kinesis-local': 'accepted', localstack: 'accepted' },
  },
  {
    name: 'keys go by their MD5',
    run: async ({ ask, stream }) => {
      const name = await stream(4)
      const shards: string[] = []
      for (const PartitionKey of ['a', 'b', 'c', 'ключ']) shards.push((await put(ask, name, { PartitionKey })).ShardId)
      return shards
    },
    // md5 begins with 0c, 92, 4a and c2.
    answer: [0, 2, 1, 3].map(shard),
  },
  {
    name: 'a hash key of its own goes before the key',
    run: async ({ ask, stream }) =>
      (await put(ask, await stream(2), { PartitionKey: 'a', ExplicitHashKey: half })).ShardId,
    answer: shard(1),
  },
  {
    name: 'a hash key that is none',
    run: async ({ ask, stream }) => nameOf(put(ask, await stream(), { ExplicitHashKey: String(2n ** 128n) })),
    answer: 'InvalidArgumentException',
  },
  {
    name: 'sequence numbers grow',
    run: async ({ ask, stream }) => {
      const name = await stream()
      const numbers: bigint[] = []
      for (let at = 0; at < 3; at++) numbers.push(BigInt((await put(ask, name)).SequenceNumber))
      return numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0n))
    },
    answer: true,
  },
  {
    name: 'sequence numbers have 56 digits',
    run: async ({ ask, stream }) => (await put(ask, await stream())).SequenceNumber.length,
    answer: 56,
  },
  {
    name: 'sequence numbers of a child are above the last of its parent',
    run: async ({ ask, stream }) => {
      const name = await stream()
      await put(ask, name)
      await split(ask, name)
      const after = BigInt((await put(ask, name)).SequenceNumber)
      const [parent] = await shardsOf(ask, name)
      return after > BigInt(parent.SequenceNumberRange.EndingSequenceNumber)
    },
    answer: true,
  },
  {
    name: 'an iterator that is garbage',
    run: ({ ask }) =>
      refusal(ask('GetRecords', { ShardIterator: 'garbage' })).then(({ name, status }) => [name, status]),
    answer: ['InvalidArgumentException', 400],
    others: { 'kinesis-local': ['Unknown', 500], localstack: ['500', 500] },
  },
  {
    name: 'more records than may be asked for',
    run: async ({ ask, stream }) => {
      const ShardIterator = await iterator(ask, await stream())
      return textOf(ask('GetRecords', { ShardIterator, Limit: 10_001 }))
    },
    // A sentence of the API reference names InvalidArgumentException, but its range of the member is a constraint like all others,
    // and constraints go first: kinesalite has this text from the service itself.
    answer:
      "ValidationException: 1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 10000",
    others: {
      'kinesis-local': expect.stringContaining('InvalidArgumentException: Limit must'),
      localstack: 'InvalidArgumentException: Limit must be between 1 and 10000',
    },
  },
  {
    name: 'LATEST with a sequence number',
    run: async ({ ask, stream }) =>
      nameOf(iterator(ask, await stream(), { ShardIteratorType: 'LATEST', StartingSequenceNumber: '1' })),
    answer: 'InvalidArgumentException',
    others: { 'kinesis-local': 'accepted', localstack: 'accepted' },
  },
  {
    name: 'a sequence number that the shard never gave out',
    run: async ({ ask, stream }) => {
      const name = await stream()
      const { SequenceNumber } = await put(ask, name)
      const StartingSequenceNumber = String(BigInt(SequenceNumber) + 2n ** 100n)
      return nameOf(iterator(ask, name, { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber }))
    },
    answer: 'InvalidArgumentException',
    others: {
      kinesalite: 'accepted',
      'kinesis-local': 'ResourceNotFoundException',
      localstack: 'ResourceNotFoundException',
    },
  },
  {
    name: 'a shard that is not there',
    run: async ({ ask, stream }) => nameOf(iterator(ask, await stream(), { ShardId: shard(7) })),
    answer: 'ResourceNotFoundException',
  },
  {
    name: 'reading to the tip, and from before it',
    run: async ({ ask, stream }) => {
      const name = await stream()
      await put(ask, name)
      await put(ask, name)
      await wait(5)
      const first = await ask('GetRecords', { ShardIterator: await iterator(ask, name), Limit: 1 })
      const rest = await ask('GetRecords', { ShardIterator: first.NextShardIterator })
      return [first.Records.length, first.MillisBehindLatest > 0, rest.Records.length, rest.MillisBehindLatest]
    },
    answer: [1, true, 1, 0],
    // It never tells how far behind a reading is.
    others: { kinesalite: [1, false, 1, 0] },
  },
  {
    name: 'a record that is not encrypted',
    run: async ({ ask, stream }) => {
      const name = await stream()
      const { $metadata: _, ...stored } = await put(ask, name)
      const { Records } = await ask('GetRecords', { ShardIterator: await iterator(ask, name) })
      return [Object.keys(stored).toSorted(), Object.keys(Records[0]).toSorted()]
    },
    // As in the examples of the API reference.
    answer: [
      ['SequenceNumber', 'ShardId'],
      ['ApproximateArrivalTimestamp', 'Data', 'PartitionKey', 'SequenceNumber'],
    ],
    others: { 'kinesis-local': notEncrypted, localstack: notEncrypted },
  },
  {
    name: 'the end of a shard that was split',
    run: async ({ ask, stream }) => {
      const name = await stream()
      await put(ask, name)
      await split(ask, name)
      const answer = await ask('GetRecords', { ShardIterator: await iterator(ask, name) })
      return [
        answer.Records.length,
        answer.NextShardIterator ?? 'none',
        answer.ChildShards?.map(({ ShardId, ParentShards }: Answer) => [ShardId, ParentShards]),
      ]
    },
    answer: [
      1,
      'none',
      [
        [shard(1), [shard(0)]],
        [shard(2), [shard(0)]],
      ],
    ],
    others: { kinesalite: [1, expect.any(String), undefined] },
  },
  {
    name: 'a shard that was merged of two',
    run: async ({ ask, stream }) => {
      const name = await stream(2)
      await ask('MergeShards', { StreamName: name, ShardToMerge: shard(0), AdjacentShardToMerge: shard(1) })
      await untilActive(ask, name)
      const { ParentShardId, AdjacentParentShardId, HashKeyRange } = (await shardsOf(ask, name))[2]
      return [ParentShardId, AdjacentParentShardId, HashKeyRange]
    },
    answer: [shard(0), shard(1), { StartingHashKey: '0', EndingHashKey: String(2n ** 128n - 1n) }],
  },
  {
    name: 'a split at the edge of a shard',
    run: async ({ ask, stream }) =>
      nameOf(ask('SplitShard', { StreamName: await stream(), ShardToSplit: shard(0), NewStartingHashKey: '0' })),
    answer: 'InvalidArgumentException',
    others: { 'kinesis-local': 'accepted', localstack: 'accepted' },
  },
  {
    name: 'shards that are no neighbours',
    run: async ({ ask, stream }) =>
      nameOf(
        ask('MergeShards', { StreamName: await stream(3), ShardToMerge: shard(0), AdjacentShardToMerge: shard(2) }),
      ),
    answer: 'InvalidArgumentException',
  },
  {
    name: 'open shards alone',
    run: async ({ ask, stream }) => {
      const name = await stream()
      await split(ask, name)
      const { Shards } = await ask('ListShards', { StreamName: name, ShardFilter: { Type: 'AT_LATEST' } })
      return Shards.map(({ ShardId }: Answer) => ShardId)
    },
    answer: [shard(1), shard(2)],
    others: { kinesalite: [0, 1, 2].map(shard) },
  },
  {
    name: 'three times as many shards',
    run: async ({ ask, stream }) => {
      const input = { StreamName: await stream(1), TargetShardCount: 3, ScalingType: 'UNIFORM_SCALING' }
      return nameOf(ask('UpdateShardCount', input))
    },
    answer: 'InvalidArgumentException',
    others: { kinesalite: 'UnknownOperationException' },
  },
  {
    name: 'parents of shards that were made two of one',
    run: async ({ ask, stream }) => {
      const name = await stream(2)
      await ask('UpdateShardCount', { StreamName: name, TargetShardCount: 4, ScalingType: 'UNIFORM_SCALING' })
      await untilActive(ask, name)
      return (await shardsOf(ask, name)).slice(2).map(({ ParentShardId }) => ParentShardId)
    },
    answer: [shard(0), shard(0), shard(1), shard(1)],
    others: { kinesalite: 'UnknownOperationException' },
  },
  {
    name: 'a list of shards in pages',
    run: async ({ ask, stream }) => {
      const first = await ask('ListShards', { StreamName: await stream(3), MaxResults: 2 })
      const second = await ask('ListShards', { NextToken: first.NextToken })
      return [...first.Shards, ...second.Shards].map(({ ShardId }) => ShardId)
    },
    answer: [0, 1, 2].map(shard),
    others: { kinesalite: 'InvalidArgumentException' },
  },
  {
    name: 'a retention that is too short',
    run: async ({ ask, stream }) =>
      nameOf(ask('DecreaseStreamRetentionPeriod', { StreamName: await stream(), RetentionPeriodHours: 23 })),
    answer: 'InvalidArgumentException',
  },
  {
    name: 'a retention that grows',
    run: async ({ ask, stream }) => {
      const name = await stream()
      await ask('IncreaseStreamRetentionPeriod', { StreamName: name, RetentionPeriodHours: 48 })
      return (await ask('DescribeStreamSummary', { StreamName: name })).StreamDescriptionSummary.RetentionPeriodHours
    },
    answer: 48,
  },
  {
    name: 'tags',
    run: async ({ ask, stream }) => {
      const name = await stream()
      await ask('AddTagsToStream', { StreamName: name, Tags: { a: '1', b: '2' } })
      await ask('RemoveTagsFromStream', { StreamName: name, TagKeys: ['a'] })
      const { Tags, HasMoreTags } = await ask('ListTagsForStream', { StreamName: name })
      return [Tags, HasMoreTags]
    },
    answer: [[{ Key: 'b', Value: '2' }], false],
  },
  {
    name: 'a tag with a character that it may not have',
    run: async ({ ask, stream }) => nameOf(ask('AddTagsToStream', { StreamName: await stream(), Tags: { 'a!': '1' } })),
    answer: 'InvalidArgumentException',
  },
  {
    name: 'a consumer that is there already',
    run: async ({ ask, stream }) => {
      const name = await stream()
      await consumer(ask, name)
      const { StreamARN } = (await ask('DescribeStreamSummary', { StreamName: name })).StreamDescriptionSummary
      return nameOf(ask('RegisterStreamConsumer', { StreamARN, ConsumerName: 'c' }))
    },
    answer: 'ResourceInUseException',
    others: { kinesalite: 'UnknownOperationException' },
  },
  {
    name: 'a second subscription within five seconds',
    run: async ({ ask, stream }) => {
      const arn = await consumer(ask, await stream())
      const input = { ConsumerARN: arn, ShardId: shard(0), StartingPosition: { Type: 'LATEST' } }
      await ask('SubscribeToShard', input)
      return nameOf(ask('SubscribeToShard', input))
    },
    answer: 'ResourceInUseException',
    others: { kinesalite: 'UnknownOperationException', localstack: 'accepted' },
  },
]
