import { areNeighbours, evenRanges, includes } from './hash-range.ts'
import type { HashRange } from './hash-range.ts'
import { inUse, invalidArgument, notFound } from './service-error.ts'
import { Shard } from './shard.ts'

export type StreamStatus = 'CREATING' | 'ACTIVE' | 'UPDATING' | 'DELETING'

export type StreamMode = 'PROVISIONED' | 'ON_DEMAND'

/** A registered consumer for enhanced fan-out. */
export interface FanOutConsumer extends Resource {
  readonly name: string
  readonly arn: string
  readonly madeAtMs: number
  status: 'CREATING' | 'ACTIVE' | 'DELETING'
}

/** What can have tags, and a policy of its own. */
export interface Resource {
  readonly tags: Map<string, string>
  policy: string | undefined
}

/** What a stream is made of. */
export interface StreamOrigin {
  readonly name: string
  readonly arn: string
  /** The number of the account, for messages. */
  readonly account: string
  readonly madeAtMs: number
  /** Its sequence numbers are of this second or later: an earlier one of its name had those before. */
  readonly notBeforeSecond?: number
}

/** One stream: its shards, open and closed, and what is set for it. Knows no time and no wire. */
export class Stream implements Resource {
  readonly origin: StreamOrigin
  readonly shards: Map<string, Shard> = new Map()
  readonly consumers: Map<string, FanOutConsumer> = new Map()
  readonly tags: Map<string, string> = new Map()
  readonly metrics: Set<string> = new Set()
  status: StreamStatus = 'CREATING'
  mode: StreamMode = 'PROVISIONED'
  retentionHours = 24
  maxRecordKiB = 1_024
  keyId: string | undefined
  policy: string | undefined
  warmThroughputMiB: number | undefined
  /** Whether the service spreads records as it likes, whatever their key. On-demand streams only. */
  spread = false
  /** Times of changes of its mode, for their daily limit. */
  modeChanges: number[] = []
  /** Times of `UpdateShardCount` calls, for their daily limit. */
  shardCountChanges: number[] = []
  /** How many open shards it has, or is to have once it is made or changed. */
  planned = 1
  /** The index of the next shard. Indexes are never used again. */
  nextIndex = 0
  #open: readonly Shard[] = []

  constructor(origin: StreamOrigin) {
    this.origin = origin
  }

  get name(): string {
    return this.origin.name
  }

  /** `stream NAME under account NUMBER`, as messages name it. */
  get title(): string {
    return `stream ${this.origin.name} under account ${this.origin.account}`
  }

  /** Open shards, by their hash keys. */
  get open(): readonly Shard[] {
    return this.#open
  }

  /** Whether records can be written and read. */
  get usable(): boolean {
    return this.status === 'ACTIVE' || this.status === 'UPDATING'
  }

  /** Makes the first shards; then it can be used. */
  begin(nowMs: number): void {
    for (const range of evenRanges(this.planned)) this.#make(range, [], nowMs)
    this.#sort()
    this.status = 'ACTIVE'
  }

  /** Puts a shard back that was there before. */
  restore(shard: Shard): void {
    this.shards.set(shard.id, shard)
    this.#sort()
  }

  shard(id: string): Shard {
    const shard = this.shards.get(id)
    if (shard === undefined)
      throw notFound(`Shard ${id} in stream ${this.name} under account ${this.origin.account} does not exist`)
    return shard
  }

  /** The open shard that takes a hash key. */
  shardFor(hashKey: bigint): Shard {
    const shard = this.#open.find(({ origin }) => includes(origin.range, hashKey))
    if (shard === undefined) throw new Error(`the shards of ${this.name} do not cover hash key ${hashKey}`)
    return shard
  }

  /** Shards that came of one. */
  childrenOf(id: string): readonly Shard[] {
    return [...this.shards.values()].filter(({ origin }) => origin.parents.includes(id))
  }

  /** Throws what the service answers to a split at that hash key, if it refuses. */
  checkSplit(id: string, at: bigint): void {
    const shard = this.shard(id)
    this.#checkOpen(shard)
    const { start, end } = shard.origin.range
    if (at <= start + 1n || at >= end)
      throw invalidArgument(
        `NewStartingHashKey ${at} used in SplitShard() on shard ${id} in ${this.title} is not both greater than one plus the shard's StartingHashKey ${start} and less than the shard's EndingHashKey ${end}.`,
      )
  }

  split(id: string, at: bigint, nowMs: number): void {
    const parent = this.shard(id)
    const { start, end } = parent.origin.range
    parent.close(nowMs)
    this.#make({ start, end: at - 1n }, [parent], nowMs)
    this.#make({ start: at, end }, [parent], nowMs)
    this.#sort()
  }

  /** Throws what the service answers to a merge, if it refuses. */
  checkMerge(id: string, adjacentId: string): void {
    const [shard, adjacent] = [this.shard(id), this.shard(adjacentId)]
    this.#checkOpen(shard)
    this.#checkOpen(adjacent)
    if (!areNeighbours(shard.origin.range, adjacent.origin.range))
      throw invalidArgument(
        `Shards ${id} and ${adjacentId} in ${this.title} are not an adjacent pair of shards eligible for merging`,
      )
  }

  merge(id: string, adjacentId: string, nowMs: number): void {
    const parents = [this.shard(id), this.shard(adjacentId)]
    const ranges = parents.map(({ origin }) => origin.range)
    const [first, second] = ranges as [HashRange, HashRange]
    for (const parent of parents) parent.close(nowMs)
    const start = first.start < second.start ? first.start : second.start
    const end = first.end > second.end ? first.end : second.end
    this.#make({ start, end }, parents, nowMs)
    this.#sort()
  }

  /**
   * Brings the number of open shards to `count` with even ranges, by splits and merges, as `UpdateShardCount` does: first
   * shards are split wherever a range is to begin inside them, then what lies in one range is merged, two at a time.
   */
  reshape(count: number, nowMs: number): void {
    const ranges = evenRanges(count)
    for (const { start } of ranges) {
      const shard = this.shardFor(start)
      if (shard.origin.range.start !== start) this.split(shard.id, start, nowMs)
    }
    for (const range of ranges) {
      for (let pair = this.#within(range); pair.length > 1; pair = this.#within(range)) {
        const [first, second] = pair as [Shard, Shard]
        this.merge(first.id, second.id, nowMs)
      }
    }
  }

  /** Forgets records that are older than the retention, and the shard if it was closed before it; says whether there were any. */
  trim(shard: Shard, nowMs: number): boolean {
    const horizon = nowMs - this.retentionHours * 3_600_000
    const trimmed = shard.trim(horizon)
    if (shard.closedAtMs === undefined || shard.closedAtMs >= horizon) return trimmed
    return this.shards.delete(shard.id) || trimmed
  }

  #within({ start, end }: HashRange): readonly Shard[] {
    return this.#open.filter(({ origin }) => origin.range.start >= start && origin.range.end <= end)
  }

  #checkOpen(shard: Shard): void {
    if (!shard.open)
      throw inUse(
        `Shard ${shard.id} in ${this.title} has already been merged or split, and thus is not eligible for merging or splitting.`,
      )
  }

  #make(range: HashRange, parents: readonly Shard[], nowMs: number): void {
    const earliest = Math.max(this.origin.notBeforeSecond ?? 0, ...parents.map(({ origin }) => origin.madeSecond + 1))
    const shard = new Shard({
      index: this.nextIndex++,
      range,
      parents: parents.map(({ id }) => id),
      madeSecond: Math.max(Math.floor(nowMs / 1_000), earliest),
      madeAtMs: nowMs,
    })
    this.shards.set(shard.id, shard)
  }

  #sort(): void {
    this.#open = [...this.shards.values()]
      .filter(({ open }) => open)
      .toSorted((a, b) => (a.origin.range.start < b.origin.range.start ? -1 : 1))
    this.planned = this.#open.length
  }
}
