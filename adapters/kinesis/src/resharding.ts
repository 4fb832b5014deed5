import { MergeShardsCommand, SplitShardCommand, UpdateShardCountCommand } from '@aws-sdk/client-kinesis'
import { StreamError } from '@sluice/driver'
import { isLimitExceeded } from './errors.ts'
import type { ShardInfo } from './shards.ts'
import type { Streams, StreamsContext } from './streams.ts'

/**
 * Changes the number of open shards. UpdateShardCount goes to twice or half as many at most, and may be used ten times a day;
 * farther it goes in steps, and where the day's count is used up shards are split and merged one by one.
 * Source: API reference of Kinesis Data Streams, UpdateShardCount.
 */
export async function setShardCount(
  context: StreamsContext,
  streams: Streams,
  name: string,
  count: number,
  signal: AbortSignal,
): Promise<void> {
  let byHand = false
  let before: number | undefined
  for (;;) {
    const info = await streams.active(name, signal)
    if (info.onDemand)
      throw new StreamError(
        'unsupported',
        `stream "${name}" is on-demand: AWS changes its shards as they are needed; switch it to provisioned to set their number`,
      )
    const { open } = await streams.shards(name, signal)
    if (open.length === count) return
    // There are servers that answer, and do nothing when what is left are neighbours of different generations.
    byHand ||= open.length === before
    before = open.length
    if (byHand) await changeByOne(context, name, open, count > open.length, signal)
    else byHand = !(await changeAtOnce(context, name, open.length, count, signal))
  }
}

/** Says whether AWS did it, or was told to; not where the day's count is used up. */
async function changeAtOnce(
  { client, calls }: StreamsContext,
  name: string,
  now: number,
  count: number,
  signal: AbortSignal,
): Promise<boolean> {
  const TargetShardCount = Math.max(Math.ceil(now / 2), Math.min(now * 2, count))
  try {
    await calls.run({ operation: 'set partitions', topic: name, signal }, (abortSignal) =>
      client.send(new UpdateShardCountCommand({ StreamName: name, TargetShardCount, ScalingType: 'UNIFORM_SCALING' }), {
        abortSignal,
      }),
    )
    return true
  } catch (error) {
    if (error instanceof StreamError && isLimitExceeded(error.cause)) return false
    throw error
  }
}

/** Splits the widest shard, or merges the two neighbours that are narrowest together. */
async function changeByOne(
  { client, calls }: StreamsContext,
  name: string,
  open: readonly ShardInfo[],
  grow: boolean,
  signal: AbortSignal,
): Promise<void> {
  const inOrder = open.toSorted((a, b) => (a.from < b.from ? -1 : 1))
  const what = { operation: 'set partitions', topic: name, signal }
  if (grow) {
    const [widest] = inOrder.toSorted((a, b) => (widthOf(a) > widthOf(b) ? -1 : 1))
    if (widest === undefined) return
    const NewStartingHashKey = String(widest.from + widthOf(widest) / 2n)
    await calls.run(what, (abortSignal) =>
      client.send(new SplitShardCommand({ StreamName: name, ShardToSplit: widest.id, NewStartingHashKey }), {
        abortSignal,
      }),
    )
    return
  }
  const [pair] = inOrder
    .slice(1)
    .map((right, at) => ({ left: inOrder[at] as ShardInfo, right }))
    .toSorted((a, b) => (widthOf(a.left) + widthOf(a.right) < widthOf(b.left) + widthOf(b.right) ? -1 : 1))
  if (pair === undefined) return
  const input = { StreamName: name, ShardToMerge: pair.left.id, AdjacentShardToMerge: pair.right.id }
  await calls.run(what, (abortSignal) => client.send(new MergeShardsCommand(input), { abortSignal }))
}

function widthOf(shard: ShardInfo): bigint {
  return shard.to - shard.from + 1n
}
