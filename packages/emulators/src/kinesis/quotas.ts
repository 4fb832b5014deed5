import { limitExceeded, ServiceError } from './service-error.ts'
import type { Shard } from './shard.ts'
import { sizeOf } from './shard.ts'
import type { NewRecord } from './shard.ts'
import type { Stream } from './stream.ts'
import { TokenBucket } from './token-bucket.ts'

const mebibyte = 1024 * 1024
const mostBuckets = 1_000

/**
 * What the service allows a shard and a stream in a second. Source: "Quotas and limits", Amazon Kinesis Data Streams Developer
 * Guide, https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
 */
const perShard = { writtenBytes: mebibyte, writtenRecords: 1_000, reads: 5, readBytes: 2 * mebibyte, iterators: 5 }

/** Calls a second, for each stream or for the whole account. */
const perCall: Readonly<Record<string, { readonly calls: number; readonly each: 'stream' | 'account' }>> = {
  AddTagsToStream: { calls: 5, each: 'account' },
  CreateStream: { calls: 5, each: 'account' },
  DecreaseStreamRetentionPeriod: { calls: 5, each: 'stream' },
  DeleteStream: { calls: 5, each: 'account' },
  DeregisterStreamConsumer: { calls: 5, each: 'stream' },
  DescribeLimits: { calls: 1, each: 'account' },
  DescribeStream: { calls: 10, each: 'account' },
  DescribeStreamConsumer: { calls: 20, each: 'stream' },
  DescribeStreamSummary: { calls: 20, each: 'account' },
  IncreaseStreamRetentionPeriod: { calls: 5, each: 'stream' },
  ListShards: { calls: 1_000, each: 'stream' },
  ListStreamConsumers: { calls: 5, each: 'stream' },
  ListStreams: { calls: 5, each: 'account' },
  ListTagsForStream: { calls: 5, each: 'account' },
  MergeShards: { calls: 5, each: 'account' },
  RegisterStreamConsumer: { calls: 5, each: 'stream' },
  RemoveTagsFromStream: { calls: 5, each: 'account' },
  SplitShard: { calls: 5, each: 'account' },
}

interface ShardQuota {
  readonly writtenBytes: TokenBucket
  readonly writtenRecords: TokenBucket
  readonly reads: TokenBucket
  readonly readBytes: TokenBucket
  readonly iterators: TokenBucket
  /** By the name of the consumer. */
  readonly fanOut: Map<string, FanOutQuota>
}

/** What one consumer of enhanced fan-out may have of one shard. */
export interface FanOutQuota {
  readonly bytes: TokenBucket
  /** One `SubscribeToShard` a second. */
  readonly calls: TokenBucket
}

/** The service's quotas, or none: then everything is granted. */
export class Quotas {
  readonly #enforced: boolean
  readonly #now: () => number
  readonly #shards = new WeakMap<Shard, ShardQuota>()
  readonly #calls = new Map<string, TokenBucket>()

  constructor(enforced: boolean, now: () => number) {
    this.#enforced = enforced
    this.#now = now
  }

  /** Throws `LimitExceededException` when there were too many calls of that kind. */
  call(operation: string, account: string, region: string, stream: string | undefined): void {
    const quota = perCall[operation]
    if (!this.#enforced || quota === undefined) return
    const key = `${operation} ${region} ${quota.each === 'stream' ? (stream ?? '') : ''}`
    let bucket = this.#calls.get(key)
    if (bucket === undefined) {
      this.#forgetIdle()
      this.#calls.set(key, (bucket = new TokenBucket(quota.calls, this.#now)))
    }
    if (!bucket.has(1)) {
      const where = quota.each === 'stream' && stream !== undefined ? `stream ${stream} under account` : 'account'
      throw limitExceeded(`Rate exceeded for ${where} ${account}.`)
    }
    bucket.take(1)
  }

  /** Names that were asked for once would be kept for ever. */
  #forgetIdle(): void {
    if (this.#calls.size < mostBuckets) return
    for (const [key, bucket] of this.#calls) if (bucket.full) this.#calls.delete(key)
  }

  /** Whether the shard takes a record now; counts it if so. */
  takeWrite(shard: Shard, record: NewRecord): boolean {
    if (!this.#enforced) return true
    const { writtenBytes, writtenRecords } = this.#of(shard)
    if (!writtenBytes.has() || !writtenRecords.has(1)) return false
    writtenBytes.take(sizeOf(record))
    writtenRecords.take(1)
    return true
  }

  /** Throws when the shard was read too often, or gave out too much. */
  takeRead(stream: Stream, shard: Shard): void {
    if (!this.#enforced) return
    const { reads, readBytes } = this.#of(shard)
    if (!reads.has(1) || !readBytes.has()) throw throttled(stream, shard)
    reads.take(1)
  }

  /** Counts what a read gave out. */
  countRead(shard: Shard, bytes: number): void {
    if (this.#enforced) this.#of(shard).readBytes.take(bytes)
  }

  takeIterator(stream: Stream, shard: Shard): void {
    if (!this.#enforced) return
    const { iterators } = this.#of(shard)
    if (!iterators.has(1)) throw throttled(stream, shard)
    iterators.take(1)
  }

  /** What a consumer of enhanced fan-out may have of a shard; `undefined`: as much as it likes. */
  fanOut(shard: Shard, consumer: string): FanOutQuota | undefined {
    if (!this.#enforced) return undefined
    const { fanOut } = this.#of(shard)
    let quota = fanOut.get(consumer)
    if (quota === undefined) {
      quota = {
        bytes: new TokenBucket(perShard.readBytes, this.#now),
        calls: new TokenBucket(1, this.#now),
      }
      fanOut.set(consumer, quota)
    }
    return quota
  }

  #of(shard: Shard): ShardQuota {
    let quota = this.#shards.get(shard)
    if (quota === undefined) {
      const bucket = (perSecond: number): TokenBucket => new TokenBucket(perSecond, this.#now)
      quota = {
        writtenBytes: bucket(perShard.writtenBytes),
        writtenRecords: bucket(perShard.writtenRecords),
        reads: bucket(perShard.reads),
        readBytes: bucket(perShard.readBytes),
        iterators: bucket(perShard.iterators),
        fanOut: new Map(),
      }
      this.#shards.set(shard, quota)
    }
    return quota
  }
}

/** What a shard answers that has had enough. */
export function throttled(stream: Stream, shard: Shard): ServiceError {
  return new ServiceError('ProvisionedThroughputExceededException', throttledText(stream, shard))
}

export function throttledText(stream: Stream, shard: Shard): string {
  return `Rate exceeded for shard ${shard.id} in ${stream.title}.`
}
