import { refuseUnknownPartitions, StreamError } from '@sluice/driver'
import type { Clock, Lease, LeaseStore, PartitionId, Position, StartFrom } from '@sluice/driver'
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { KinesisClient } from '@aws-sdk/client-kinesis'
import type { ListedPartition } from '@sluice/lease'
import { generations, hasLivingMembers, resetLease } from '@sluice/lease'
import type { Calls } from './calls.ts'
import type { Item, LeaseTables } from './lease-table.ts'
import { DynamoLeaseStore } from './leases.ts'
import { isRefused } from './errors.ts'
import { iteratorAt } from './iterators.ts'
import { fromCheckpoint, placeAt, toCheckpoint } from './places.ts'
import type { Place } from './places.ts'
import type { ServerTime } from './server-time.ts'
import type { ShardInfo, ShardMap } from './shards.ts'
import type { TopicView } from './topic.ts'

/** What groups are looked after with. */
export interface GroupsContext {
  readonly client: DynamoDBClient
  /** To DynamoDB. */
  readonly calls: Calls
  readonly kinesis: KinesisClient
  readonly kinesisCalls: Calls
  readonly tables: LeaseTables
  /** A store that the user bound, instead of tables. */
  readonly bound: LeaseStore | undefined
  readonly time: ServerTime
  readonly clock: Clock
  readonly failoverMs: number
}

/** A group, and where its leases were found. */
export interface KeptGroup {
  readonly group: string
  readonly table: string
}

/** Where a group begins, in every shard. */
export type Beginning = (shard: ShardInfo) => Place

/** Groups: what their leases are kept in, where they begin, how they are moved and forgotten. */
export class Groups {
  readonly #context: GroupsContext

  constructor(context: GroupsContext) {
    this.#context = context
  }

  /**
   * Where the leases of a group are. What the KCL left that says no place is given one with the lease's next write: later it would
   * be another, and what was read by then and not settled would be passed over. Its `LATEST` is the time of this call, which comes
   * before shards are listed: what they are split into afterwards is read whole.
   */
  storeOf(topic: TopicView, group: string, beginning?: Beginning, table?: string): LeaseStore {
    const { client, calls, tables, bound, time } = this.#context
    const scope = { topic: topic.name, stream: String(topic.info.createdMs), group }
    const timeMs = time.past()
    const resolve = (checkpoint: Position, partition: PartitionId): Position => {
      if (checkpoint === 'LATEST') return toCheckpoint({ kind: 'time', timeMs })
      const shard = topic.shards.byId(partition)
      const isOpen = checkpoint === 'AT_TIMESTAMP' && shard !== undefined && beginning !== undefined
      return isOpen ? toCheckpoint(beginning(shard)) : checkpoint
    }
    return (
      bound ??
      new DynamoLeaseStore({ client, calls, tables, table: table ?? tables.nameOf(topic.name, group), scope, resolve })
    )
  }

  /** Makes sure that leases of the group can be kept. Rejects where they cannot, or where they are another group's. */
  async join(topic: TopicView, group: string): Promise<void> {
    await this.#prepare(topic, group)
    for (const { checkpoint, partition } of await this.storeOf(topic, group).list(scopeOf(topic, group))) {
      // Of the KCL; where that begins says whoever joins.
      if (checkpoint === 'AT_TIMESTAMP') continue
      try {
        fromCheckpoint(checkpoint, partition)
      } catch (cause) {
        const message = `the lease of ${partition} of topic "${topic.name}" has a checkpoint that cannot be read; move group "${group}" with a seek`
        throw new StreamError('corrupt', message, { cause, details: { topic: topic.name, group, partition } })
      }
    }
  }

  /** Takes away the leases of shards that were read to their end and are older than the stream keeps, where that is allowed: they do no harm. */
  async cleanUp(topic: TopicView, group: string, leases: readonly Lease[]): Promise<void> {
    const store = this.storeOf(topic, group)
    const gone = leases.filter((lease) => lease.ended && topic.shards.byId(lease.partition) === undefined)
    try {
      await Promise.all(gone.map((lease) => store.remove(lease)))
    } catch (error) {
      if (!StreamError.is(error, 'permission-denied')) throw error
    }
  }

  async #prepare(topic: TopicView, group: string, signal?: AbortSignal): Promise<void> {
    const { tables, bound } = this.#context
    if (bound === undefined) await tables.ensure(tables.nameOf(topic.name, group), signal)
  }

  /** Turns a start into places, as of now: by our clock where it is not ahead of the service's, which is asked. */
  async beginningOf(start: StartFrom, topic: TopicView, signal?: AbortSignal): Promise<Beginning> {
    const past = this.#context.time.past()
    const isNow = start.kind === 'latest' || (start.kind === 'time' && start.timeMs > past)
    return this.#beginningAt(start, isNow ? await this.#now(topic, signal) : past)
  }

  /** The service refuses a time that has not come for it. */
  async #now(topic: TopicView, signal?: AbortSignal): Promise<number> {
    const { kinesis, kinesisCalls, time } = this.#context
    const timeMs = time.now()
    const [shard] = topic.shards.open
    if (shard === undefined) return timeMs
    try {
      await iteratorAt(kinesis, kinesisCalls, topic.name, shard.id, { kind: 'time', timeMs }, signal)
      return timeMs
    } catch (error) {
      if (!(error instanceof StreamError)) throw error
      // Whoever may not read, or not so soon again, is not told whether it has come.
      const isAnswered = isRefused(error.cause) || ['throttled', 'permission-denied'].includes(error.code)
      if (isAnswered) return time.past()
      throw error
    }
  }

  #beginningAt(start: StartFrom, nowMs: number): Beginning {
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
   * The shards as the coordinator is to see them. Of one without a lease:
   *
   * - if there are leases of what came after it, it was done with and its lease was taken away, as the KCL does;
   * - if it came of one of which something was read, it is read from its first record;
   * - else the first member was cut off while it made the leases: it begins where the group does, as the others tell.
   */
  listed(shards: ShardMap, leases: readonly Lease[], beginning: Beginning): readonly ListedPartition[] {
    const passed = passedBy(leases, shards)
    const ofGroup = leases.map(({ checkpoint }) => checkpoint).find(isTime)
    const begins = new Map(
      leases.map(({ partition, checkpoint, ended }) => [partition, ended ? undefined : checkpoint]),
    )
    return parentsFirst(shards).map((shard) => {
      const { id, parents } = shard
      if (begins.has(id)) return { id, parents }
      const before = parents.filter((parent) => begins.has(parent)).map((parent) => begins.get(parent))
      const first = beginning(shard)
      const isFirst = leases.length === 0 || (before.length === 0 && first.kind === 'behind')
      const told = before.length === 0 ? ofGroup : before.every(isTime) ? before.toSorted()[0] : undefined
      const checkpoint = isFirst ? toCheckpoint(first) : (told ?? toCheckpoint({ kind: 'horizon' }))
      begins.set(id, passed.has(id) ? undefined : checkpoint)
      return { id, parents, ended: passed.has(id), checkpoint }
    })
  }

  /** Where a lease begins. What a KCL application left at a time of its own configuration begins where ours says. */
  placeOf({ checkpoint, partition }: Lease, shards: ShardMap, beginning: Beginning): Place {
    const shard = shards.byId(partition)
    if (checkpoint === 'AT_TIMESTAMP' && shard !== undefined) return beginning(shard)
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
    await topic.refresh()
    const beginning = await this.beginningOf(to, topic, signal)
    refuseUnknownPartitions(to, topic.name, (id) => topic.shards.byId(id) !== undefined)
    await this.#prepare(topic, group, signal)
    const store = this.storeOf(topic, group)
    const scope = scopeOf(topic, group)
    const leases = await store.list(scope)
    const known = new Map(leases.map((lease) => [lease.partition, lease]))
    for (const shard of parentsFirst(topic.shards)) {
      const { id, parents } = shard
      if (leases.length > 0 && to.kind === 'position' && to.positions[id] === undefined) continue
      const checkpoint = toCheckpoint(beginning(shard))
      const lease = known.get(id)
      const isMade =
        lease === undefined && (await store.create({ ...unowned, scope, partition: id, parents, checkpoint }, signal))
      // Or a member has made it meanwhile.
      if (!isMade) await resetLease(store, this.#context.clock, scope, id, checkpoint, lease)
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

  /** Forgets the group, whoever runs. A table that was made for it goes; where there are leases of others too, only its own. */
  async drop(topic: TopicView, group: string, signal: AbortSignal, at?: string): Promise<void> {
    const { tables, bound } = this.#context
    const table = at ?? tables.nameOf(topic.name, group)
    if (bound === undefined) {
      const items = (await tables.scan(table, signal)) ?? []
      const isIts = (item: Item): boolean =>
        (item['sluiceTopic']?.S ?? topic.name) === topic.name && (item['sluiceGroup']?.S ?? group) === group
      if (items.every(isIts) && (await tables.drop(table, signal))) return
    }
    const store = this.storeOf(topic, group, undefined, table)
    for (const lease of await store.list(scopeOf(topic, group), signal)) await store.remove(lease, signal)
  }

  /** The groups of a topic, and the tables that their leases are in; none where they cannot be listed, or may not. */
  async kept(topic: TopicView, signal: AbortSignal): Promise<readonly KeptGroup[]> {
    try {
      return await this.#find(topic, signal)
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

  /** The groups of a topic whose tables are named as is said here: to others nothing here leads. */
  async list(topic: TopicView, signal: AbortSignal): Promise<readonly string[]> {
    const { tables } = this.#context
    const found = await this.#find(topic, signal)
    const reached = found.filter(({ group, table }) => table === tables.nameOf(topic.name, group))
    return [...new Set(reached.map(({ group }) => group))].toSorted()
  }

  async #find(topic: TopicView, signal: AbortSignal): Promise<readonly KeptGroup[]> {
    const { tables, bound } = this.#context
    if (bound !== undefined)
      throw new StreamError('unsupported', 'groups cannot be listed where leases are kept in a store that was bound')
    const found: KeptGroup[] = []
    for (const table of await tables.candidates(topic.name, signal)) {
      const items = (await tables.scan(table, signal)) ?? []
      const ours = items.filter(
        (item) => item['sluiceTopic']?.S === topic.name && item['sluiceStream']?.S === String(topic.info.createdMs),
      )
      const groups = new Set(ours.flatMap((item) => item['sluiceGroup']?.S ?? []))
      found.push(...[...groups].map((group) => ({ group, table })))
    }
    return found
  }
}

/** What is shared as one by the coordinator of leases. */
export function scopeOf(topic: TopicView, group: string): string {
  return `${topic.name}/${topic.info.createdMs}/${group}`
}

/**
 * What came, at whatever distance, before the shards that have leases: where it has none itself, it was done with. Each shard is
 * looked at once: splits and merges make many ways to one.
 */
export function passedBy(leases: readonly Lease[], shards: ShardMap): ReadonlySet<PartitionId> {
  const found = new Set<PartitionId>()
  const waiting = leases.map(({ partition }) => partition)
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    for (const parent of shards.byId(id)?.parents ?? []) {
      if (found.has(parent)) continue
      found.add(parent)
      waiting.push(parent)
    }
  }
  return found
}

function parentsFirst(shards: ShardMap): readonly ShardInfo[] {
  return generations(shards.all).flat()
}

/** Whether a checkpoint is the time at which a group begins. */
function isTime(checkpoint: Position | undefined): checkpoint is Position {
  return checkpoint?.startsWith('AT_TIMESTAMP:') === true
}

const unowned = { owner: undefined, handoffTo: undefined, epoch: 0, ended: false, version: 0 }
