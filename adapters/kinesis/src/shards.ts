import type { Shard } from '@aws-sdk/client-kinesis'
import type { PartitionId } from '@sluice/driver'
import { hashOf } from './codec.ts'

/** A shard: a range of hash keys, from its beginning to its end. */
export interface ShardInfo {
  readonly id: PartitionId
  /** Those it came from by a split or a merge, also when they are gone. */
  readonly parents: readonly PartitionId[]
  readonly open: boolean
  readonly from: bigint
  /** Inclusive. */
  readonly to: bigint
  /** Of this shard and no other, also of another stream of the same name. */
  readonly firstSequence: string
}

/** A shard as the service lists it. */
export function toShardInfo(shard: Shard): ShardInfo {
  const parents = [shard.ParentShardId, shard.AdjacentParentShardId].filter((id) => id !== undefined)
  return {
    id: shard.ShardId ?? '',
    parents,
    open: shard.SequenceNumberRange?.EndingSequenceNumber === undefined,
    from: BigInt(shard.HashKeyRange?.StartingHashKey ?? 0),
    to: BigInt(shard.HashKeyRange?.EndingHashKey ?? 0),
    firstSequence: shard.SequenceNumberRange?.StartingSequenceNumber ?? '',
  }
}

/** The shards of a stream at one moment. */
export class ShardMap {
  readonly all: readonly ShardInfo[]
  readonly open: readonly ShardInfo[]
  readonly #byId: ReadonlyMap<PartitionId, ShardInfo>
  /** Open ones by their ranges. */
  readonly #ranges: readonly ShardInfo[]

  constructor(shards: readonly ShardInfo[]) {
    this.all = shards
    this.open = shards.filter((shard) => shard.open)
    this.#byId = new Map(shards.map((shard) => [shard.id, shard]))
    this.#ranges = this.open.toSorted((a, b) => (a.from < b.from ? -1 : 1))
  }

  byId(id: PartitionId): ShardInfo | undefined {
    return this.#byId.get(id)
  }

  childrenOf(id: PartitionId): readonly PartitionId[] {
    return this.all.filter((shard) => shard.parents.includes(id)).map((shard) => shard.id)
  }

  /** Where the service puts a partition key; `undefined` while the map is behind. */
  shardOf(partitionKey: string): PartitionId | undefined {
    const hash = hashOf(partitionKey)
    let [low, high] = [0, this.#ranges.length - 1]
    while (low <= high) {
      const middle = (low + high) >> 1
      const shard = this.#ranges[middle]
      if (shard === undefined) return undefined
      if (hash < shard.from) high = middle - 1
      else if (hash > shard.to) low = middle + 1
      else return shard.id
    }
    return undefined
  }

  /** Whether any shard is in both maps. */
  meets(later: ShardMap): boolean {
    return later.all.some(({ id }) => this.#byId.has(id))
  }

  /** Whether another map is of another stream: one that has the same name, made after this one was deleted. */
  contradicts(later: ShardMap): boolean {
    return later.all.some(({ id, firstSequence }) => {
      const known = this.#byId.get(id)
      return known !== undefined && known.firstSequence !== firstSequence
    })
  }
}
