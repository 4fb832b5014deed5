import type { Shard } from '../shard.ts'
import type { Stream } from '../stream.ts'

/** What every description of a stream has. */
export function showStream(stream: Stream): Readonly<Record<string, unknown>> {
  return {
    StreamName: stream.name,
    StreamARN: stream.origin.arn,
    StreamStatus: stream.status,
    StreamModeDetails: { StreamMode: stream.mode },
    RetentionPeriodHours: stream.retentionHours,
    StreamCreationTimestamp: new Date(stream.origin.madeAtMs),
    EnhancedMonitoring: [{ ShardLevelMetrics: [...stream.metrics] }],
    EncryptionType: stream.keyId === undefined ? 'NONE' : 'KMS',
    ...(stream.keyId === undefined ? {} : { KeyId: stream.keyId }),
  }
}

export function showWarmThroughput(stream: Stream): Readonly<Record<string, unknown>> {
  return { TargetMiBps: stream.warmThroughputMiB, CurrentMiBps: stream.warmThroughputMiB }
}

/** Shards in the order in which lists show them. */
export function showShards(stream: Stream): readonly Shard[] {
  return [...stream.shards.values()].toSorted((a, b) => a.origin.index - b.origin.index)
}

export function showShard(shard: Shard): Readonly<Record<string, unknown>> {
  const [parent, adjacent] = shard.origin.parents
  return {
    ShardId: shard.id,
    ...(parent === undefined ? {} : { ParentShardId: parent }),
    ...(adjacent === undefined ? {} : { AdjacentParentShardId: adjacent }),
    HashKeyRange: showRange(shard),
    SequenceNumberRange: {
      StartingSequenceNumber: shard.startSequence,
      ...(shard.endSequence === undefined ? {} : { EndingSequenceNumber: shard.endSequence }),
    },
  }
}

/** What came of a shard that has ended, for whoever reads it. */
export function showChildren(stream: Stream, shard: Shard): readonly Readonly<Record<string, unknown>>[] {
  return stream.childrenOf(shard.id).map((child) => ({
    ShardId: child.id,
    ParentShards: child.origin.parents,
    HashKeyRange: showRange(child),
  }))
}

function showRange({ origin }: Shard): Readonly<Record<string, string>> {
  return { StartingHashKey: String(origin.range.start), EndingHashKey: String(origin.range.end) }
}
