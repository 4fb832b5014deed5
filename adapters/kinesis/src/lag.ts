import { GetRecordsCommand } from '@aws-sdk/client-kinesis'
import type { GetRecordsInput, GetRecordsOutput, KinesisClient } from '@aws-sdk/client-kinesis'
import { sleep, StreamError } from '@sluice/driver'
import type { Clock, Lease, PartitionLag } from '@sluice/driver'
import type { Calls } from './calls.ts'
import { iteratorAt } from './iterators.ts'
import { progressOf } from './places.ts'
import type { Place } from './places.ts'
import { ShardBuffer } from './shard-buffer.ts'
import type { TopicView } from './topic.ts'

/** Calls that bring nothing, although there is something farther on, before the age is taken from what the service says. */
const mostCalls = 20
/** Tries while the shard's quota is used up, and how long to wait before the next, in milliseconds, longer each time. */
const mostTries = 8
const waitMs = 150

/** What lag is looked up with. */
export interface LagContext {
  readonly client: KinesisClient
  readonly calls: Calls
  readonly clock: Clock
  readonly nowMs: number
  readonly signal: AbortSignal
}

/** How old the first record is that comes at a place. Costs one of the shard's five reads a second, seldom more. */
export async function lagOf(context: LagContext, topic: TopicView, lease: Lease, from: Place): Promise<PartitionLag> {
  const told = { partition: lease.partition, committed: progressOf(lease.checkpoint), owner: lease.owner }
  if (lease.ended) return { ...told, ageMs: 0 }
  for (let tries = 1; ; tries++) {
    try {
      return { ...told, ageMs: await ageAt(context, topic, lease.partition, from) }
    } catch (error) {
      // Groups that are behind use up the shard's reads, and that is when somebody asks.
      if (tries === mostTries || !StreamError.is(error, 'throttled')) throw error
      await sleep(context.clock, waitMs * tries, context.signal)
    }
  }
}

async function ageAt(context: LagContext, topic: TopicView, shard: string, from: Place): Promise<number> {
  const { client, calls, nowMs, signal } = context
  const shelf = { stream: topic.name, partition: shard, epoch: 0, encoding: 'raw' } as const
  const buffer = new ShardBuffer(shelf, from)
  let iterator: string | undefined = await iteratorAt(client, calls, topic.name, shard, from, signal)
  let behindMs = 0
  for (let call = 0; call < mostCalls && iterator !== undefined; call++) {
    const input: GetRecordsInput = { ShardIterator: iterator, Limit: 2 }
    const answer: GetRecordsOutput = await calls.run(
      { operation: `read ${shard}`, topic: topic.name, signal },
      (abortSignal) => client.send(new GetRecordsCommand(input), { abortSignal }),
    )
    buffer.add(answer.Records ?? [])
    const [first] = buffer.peek()
    if (first !== undefined) return Math.max(1, nowMs - first.timeMs)
    behindMs = answer.MillisBehindLatest ?? 0
    if (behindMs === 0) return 0
    iterator = answer.NextShardIterator
  }
  return behindMs
}
