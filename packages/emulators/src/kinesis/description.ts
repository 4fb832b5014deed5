import { Shard } from './shard.ts'
import type { StoredRecord } from './shard.ts'
import { Stream } from './stream.ts'
import type { FanOutConsumer, StreamMode, StreamOrigin, StreamStatus } from './stream.ts'

interface ShardDescription {
  readonly index: number
  readonly start: string
  readonly end: string
  readonly parents: readonly string[]
  readonly madeSecond: number
  readonly madeAtMs: number
  readonly next: number
  readonly closedAtMs: number | undefined
}

interface ConsumerDescription extends Pick<FanOutConsumer, 'name' | 'arn' | 'madeAtMs' | 'status' | 'policy'> {
  readonly tags: readonly (readonly [string, string])[]
}

/** A stream without its records, as JSON keeps it. */
interface Description {
  readonly origin: StreamOrigin
  readonly status: StreamStatus
  readonly mode: StreamMode
  readonly retentionHours: number
  readonly maxRecordKiB: number
  readonly keyId: string | undefined
  readonly policy: string | undefined
  readonly warmThroughputMiB: number | undefined
  readonly spread: boolean
  readonly shardCountChanges: readonly number[]
  readonly modeChanges: readonly number[]
  readonly planned: number
  readonly nextIndex: number
  readonly shards: readonly ShardDescription[]
  readonly consumers: readonly ConsumerDescription[]
  readonly tags: readonly (readonly [string, string])[]
  readonly metrics: readonly string[]
}

/** A stream without its records, as text. */
export function describeStream(stream: Stream): string {
  const { origin, status, mode, retentionHours, maxRecordKiB, keyId, policy, warmThroughputMiB, spread } = stream
  const description: Description = {
    origin,
    status,
    mode,
    retentionHours,
    maxRecordKiB,
    keyId,
    policy,
    warmThroughputMiB,
    spread,
    shardCountChanges: stream.shardCountChanges,
    modeChanges: stream.modeChanges,
    planned: stream.planned,
    nextIndex: stream.nextIndex,
    shards: [...stream.shards.values()].map(describeShard),
    consumers: [...stream.consumers.values()].map((consumer) => ({ ...consumer, tags: [...consumer.tags] })),
    tags: [...stream.tags],
    metrics: [...stream.metrics],
  }
  return JSON.stringify(description)
}

/** The stream of a description, with the records of its shards. */
export function restoreStream(text: string, recordsOf: (shard: string) => readonly StoredRecord[]): Stream {
  const description = JSON.parse(text) as Description
  const { mode, status, retentionHours, maxRecordKiB, keyId, policy, warmThroughputMiB, spread } = description
  const stream = new Stream(description.origin)
  Object.assign(stream, { mode, status, retentionHours, maxRecordKiB, keyId, policy, warmThroughputMiB, spread })
  stream.shardCountChanges = [...description.shardCountChanges]
  stream.modeChanges = [...description.modeChanges]
  stream.nextIndex = description.nextIndex
  for (const one of description.shards) stream.restore(restoreShard(one, recordsOf))
  // Of a stream that has no shards yet it tells how many it is to have.
  if (stream.shards.size === 0) stream.planned = description.planned
  for (const consumer of description.consumers)
    stream.consumers.set(consumer.name, { ...consumer, tags: new Map(consumer.tags) })
  for (const [name, value] of description.tags) stream.tags.set(name, value)
  for (const metric of description.metrics) stream.metrics.add(metric)
  return stream
}

function describeShard({ origin, next, closedAtMs }: Shard): ShardDescription {
  const { index, range, parents, madeSecond, madeAtMs } = origin
  return { index, start: String(range.start), end: String(range.end), parents, madeSecond, madeAtMs, next, closedAtMs }
}

function restoreShard(one: ShardDescription, recordsOf: (shard: string) => readonly StoredRecord[]): Shard {
  const { index, parents, madeSecond, madeAtMs } = one
  const range = { start: BigInt(one.start), end: BigInt(one.end) }
  const shard = new Shard({ index, range, parents, madeSecond, madeAtMs })
  const records = recordsOf(shard.id)
  const next = Math.max(one.next, (records.at(-1)?.place ?? 0) + 1)
  shard.restore(records, next, one.closedAtMs)
  return shard
}
