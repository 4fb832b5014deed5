import { refuseUnknownPartitions, StreamError } from '@sluice/driver'
import type { Clock, Lease, LeaseStore, PartitionId, StartFrom } from '@sluice/driver'
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { ListedPartition } from '@sluice/lease'
import { generations, hasLivingMembers, resetLease } from '@sluice/lease'
import type { Calls } from './calls.ts'
import type { LeaseTables } from './lease-table.ts'
import { DynamoLeaseStore } from './leases.ts'
import { fromCheckpoint, placeAt, toCheckpoint } from './places.ts'
import type { Place } from './places.ts'
import type { ServerTime } from './server-time.ts'
import type { ShardInfo, ShardMap } from './shards.ts'
import type { TopicView } from './topic.ts'

/** What groups are looked after with. */
export interface GroupsContext {
  readonly client: DynamoDBClient
  readonly calls: Calls
  readonly tables: LeaseTables
  /** A store that the user bound, instead of tables. */
  readonly bound: LeaseStore | undefined
  readonly time: ServerTime
  readonly clock: Clock
  readonly failoverMs: number
}

/** Where a group begins, in every shard. */
export type Beginning = (shard: ShardInfo) => Place

/** Groups: what their leases are kept in, where they begin, how they are moved and forgotten. */
export class Groups {
  readonly #context: GroupsContext

  constructor(context: GroupsContext) {
    this.#context = context
  }

  /** Where the leases of a group are. */
  storeOf(topic: TopicView, group: string): LeaseStore {
    const { client, calls, tables, bound } = this.#context
    const scope = { topic: topic.name, stream: String(topic.info.createdMs), group }
    return bound ?? new DynamoLeaseStore({ client, calls, tables, table: tables.nameOf(topic.name, group), scope })
  }

  /** Makes sure that leases of the group can be kept. Rejects where they cannot, or where they are another group's. */
  async join(topic: TopicView, group: string): Promise<void> {
    await this.#prepare(topic, group)
    await this.storeOf(topic, group).list(scopeOf(topic, group))
  }

  /** Takes away the leases of shards that were read to their end and are older than the stream keeps. */
  async cleanUp(topic: TopicView, group: string, leases: readonly Lease[]): Promise<void> {
    const store = this.storeOf(topic, group)
    const gone = leases.filter((lease) => lease.ended && topic.shards.byId(lease.partition) === undefined)
    await Promise.all(gone.map((lease) => store.remove(lease)))
  }

  async #prepare(topic: TopicView, group: string, signal?: AbortSignal): Promise<void> {
    const { tables, bound } = this.#context
    if (bound === undefined) await tables.ensure(tables.nameOf(topic.name, group), signal)
  }

  /** Turns a start into places, as of now. */
  beginningOf(start: StartFrom): Beginning {
    const nowMs = this.#context.time.now()
    switch (start.kind) {
      case 'earliest':
        return () => ({ kind: 'horizon' })
      case 'latest':
        // What arrived within this millisecond is before it.
        return () => ({ kind: 'time', timeMs: nowMs + 1 })
      case 'time':
        return () => ({ kind: 'time', timeMs: Math.max(0, Math.min(start.timeMs, nowMs + 1)) })
      case 'position': {
        // What is no position is refused here, before anything is done.
        const places = new Map(Object.entries(start.positions).map(([id, position]) => [id, placeAt(position, id)]))
        return ({ id }) => places.get(id) ?? { kind: 'horizon' }
      }
    }
  }

  /**
   * The shards as the coordinator is to see them. One without a lease is new, and so begins where the group did; unless
   * there are leases of what came after it: then it was done with and its lease was taken away, as the KCL does.
   */
  listed(shards: ShardMap, leases: readonly Lease[], beginning: Beginning): readonly ListedPartition[] {
    const known = new Set(leases.map((lease) => lease.partition))
    const marked = leases.find(({ checkpoint }) => checkpoint?.startsWith('AT_TIMESTAMP:') === true)?.checkpoint
    const passed = ancestorsOf(known, shards)
    return shards.all.map((shard) => {
      const { id, parents } = shard
      const later = marked ?? toCheckpoint({ kind: 'horizon' })
      // That the first member was cut off while it made the leases shows in shards that came of no other.
      const first = beginning(shard)
      const isLeftOut = first.kind === 'behind' && parents.length === 0
      const checkpoint = leases.length === 0 || isLeftOut ? toCheckpoint(first) : later
      return { id, parents, ended: !known.has(id) && passed.has(id), checkpoint }
    })
  }

  /**
   * Where a lease begins. What a KCL application left at a time of its own configuration begins where ours says; what it left
   * at the latest record begins now, as a time: asked for once more after trouble, the latest would be another.
   */
  placeOf({ checkpoint, partition }: Lease, shards: ShardMap, beginning: Beginning): Place {
    const shard = shards.byId(partition)
    if (checkpoint === 'AT_TIMESTAMP' && shard !== undefined) return beginning(shard)
    if (checkpoint === 'LATEST') return { kind: 'time', timeMs: this.#context.time.now() + 1 }
    return fromCheckpoint(checkpoint, partition)
  }

  /** The leases of a group. Rejects with `not-found` when it is not known. */
  async leases(topic: TopicView, group: string): Promise<readonly Lease[]> {
    const leases = await this.storeOf(topic, group).list(scopeOf(topic, group))
    if (leases.length > 0) return leases
    throw new StreamError('not-found', `group "${group}" is not known on topic "${topic.name}"`, {
      details: { topic: topic.name, group },
    })
  }

  /** Moves the group. Members that run lose their partitions, and read on from the new place under a new epoch. */
  async move(topic: TopicView, group: string, to: StartFrom, signal: AbortSignal): Promise<void> {
    const beginning = this.beginningOf(to)
    await topic.refresh()
    refuseUnknownPartitions(to, topic.name, (id) => topic.shards.byId(id) !== undefined)
    await this.#prepare(topic, group, signal)
    const store = this.storeOf(topic, group)
    const scope = scopeOf(topic, group)
    const leases = await store.list(scope)
    const known = new Map(leases.map((lease) => [lease.partition, lease]))
    for (const { id, parents } of parentsFirst(topic.shards)) {
      const shard = topic.shards.byId(id)
      if (shard === undefined || (leases.length > 0 && to.kind === 'position' && to.positions[id] === undefined))
        continue
      const checkpoint = toCheckpoint(beginning(shard))
      const lease = known.get(id)
      if (lease !== undefined) await resetLease(store, this.#context.clock, scope, id, checkpoint, lease)
      else await store.create({ ...unowned, scope, partition: id, parents, checkpoint })
    }
  }

  /** Forgets the group. Rejects with `conflict` while members run. */
  async forget(topic: TopicView, group: string, signal: AbortSignal): Promise<void> {
    const { clock, failoverMs } = this.#context
    const store = this.storeOf(topic, group)
    const scope = scopeOf(topic, group)
    await this.leases(topic, group)
    if (await hasLivingMembers(store, clock, scope, failoverMs, signal))
      throw new StreamError('conflict', `group "${group}" has running members on topic "${topic.name}"; end them first`)
    await this.drop(topic, group, signal)
  }

  /** Forgets the group, whoever runs. */
  async drop(topic: TopicView, group: string, signal: AbortSignal): Promise<void> {
    const { tables, bound } = this.#context
    if (bound === undefined && (await tables.drop(tables.nameOf(topic.name, group), signal))) return
    const store = this.storeOf(topic, group)
    for (const lease of await store.list(scopeOf(topic, group))) await store.remove(lease, signal)
  }

  /** As {@link list}; none where they cannot be listed, or may not. */
  async listKept(topic: TopicView, signal: AbortSignal): Promise<readonly string[]> {
    try {
      return await this.list(topic, signal)
    } catch (error) {
      if (StreamError.is(error, 'unsupported') || StreamError.is(error, 'permission-denied')) return []
      throw error
    }
  }

  /** Rejects when what keeps the leases cannot be asked. */
  async check(signal: AbortSignal): Promise<void> {
    const { tables, bound } = this.#context
    if (bound === undefined) await tables.check(signal)
  }

  /** The groups of a topic, by their tables. */
  async list(topic: TopicView, signal: AbortSignal): Promise<readonly string[]> {
    const { tables, bound } = this.#context
    if (bound !== undefined)
      throw new StreamError('unsupported', 'groups cannot be listed where leases are kept in a store that was bound')
    const found = new Set<string>()
    for (const table of await tables.candidates(topic.name, signal)) {
      const items = (await tables.scan(table, signal)) ?? []
      const ours = items.filter(
        (item) => item['sluiceTopic']?.S === topic.name && item['sluiceStream']?.S === String(topic.info.createdMs),
      )
      for (const item of ours) if (item['sluiceGroup']?.S !== undefined) found.add(item['sluiceGroup'].S)
    }
    return [...found].toSorted()
  }
}

/** What is shared as one by the coordinator of leases. */
export function scopeOf(topic: TopicView, group: string): string {
  return `${topic.name}/${topic.info.createdMs}/${group}`
}

/** What came before these shards, at whatever distance. Each shard is looked at once: splits and merges make many ways to one. */
function ancestorsOf(ids: Iterable<PartitionId>, shards: ShardMap): ReadonlySet<PartitionId> {
  const found = new Set<PartitionId>()
  const waiting = [...ids]
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    for (const parent of shards.byId(id)?.parents ?? []) {
      if (found.has(parent)) continue
      found.add(parent)
      waiting.push(parent)
    }
  }
  return found
}

function parentsFirst(shards: ShardMap): readonly ListedPartition[] {
  return generations(shards.all).flat()
}

const unowned = { owner: undefined, handoffTo: undefined, epoch: 0, ended: false, version: 0 }
