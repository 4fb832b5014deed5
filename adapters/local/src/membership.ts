import { StreamError } from '@sluice/driver'
import type {
  Clock,
  Commit,
  CommitOutcome,
  Lease,
  LeaseStore,
  Logger,
  PartitionEvents,
  PartitionId,
  Random,
  SendOutcome,
  StartFrom,
  TransactionRecord,
} from '@sluice/driver'
import { LeaseCoordinator } from '@sluice/lease'
import type { LeaseCommit } from '@sluice/lease'
import { toOffset } from './position.ts'
import { fenced } from './requests.ts'
import type { StoreClient } from './store/client.ts'
import { isDeadOwner } from './store/owners.ts'
import { scopeOf } from './store/groups.ts'
import type { PartitionInfo } from './store/topics.ts'
import { madeAnew } from './topic.ts'
import type { TopicView } from './topic.ts'

/** Says which partitions a source reads. */
export interface Membership {
  start(): Promise<void>
  /** Everything of an ended partition was handed out. */
  drained(partition: PartitionInfo): void
  commit(commits: readonly Commit[]): Promise<readonly CommitOutcome[]>
  transact(
    records: readonly TransactionRecord[],
    commits: readonly Commit[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]>
  close(): Promise<void>
}

/** A partition as it is read by one member from one `assigned` to its end. */
export type Tenure = Pick<Commit, 'partition' | 'epoch'>

/** What a membership tells its reader. */
export interface Reader {
  assign(partition: PartitionInfo, epoch: number, offset: number): void
  /** Under which tenures these are read now; those that are not read are left out. */
  tenuresOf(partitions: readonly PartitionId[]): readonly Tenure[]
  /** A partition that is read under another tenure by now stays. Says whether any was read. */
  withdraw(tenures: readonly Tenure[]): boolean
}

/** Stores records and commits in one transaction. */
export type Transact = (
  records: readonly TransactionRecord[],
  commits: readonly LeaseCommit[],
  signal: AbortSignal,
) => Promise<readonly SendOutcome[]>

/** What a group's membership works with. */
export interface GroupContext {
  readonly client: StoreClient
  readonly topic: TopicView
  readonly group: string
  /** Names this tenure of this member; see `ownerName`. */
  readonly owner: string
  readonly host: string
  readonly start: StartFrom
  readonly failoverMs: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly events: PartitionEvents
  readonly reader: Reader
  readonly transact: Transact
  readonly leave: () => Promise<void>
  readonly onClose: () => void
}

/** A member of a group: partitions come and go by leases in the store, and progress is guarded by them. */
export class GroupMembership implements Membership {
  readonly #context: GroupContext
  /** The topic may be another one of its name by the time it is looked up again. */
  readonly #topicId: number
  readonly #scope: string
  readonly #coordinator: LeaseCoordinator

  constructor(context: GroupContext) {
    this.#context = context
    this.#topicId = context.topic.info.id
    this.#scope = scopeOf(this.#topicId, context.group)
    this.#coordinator = new LeaseCoordinator({
      store: new StoreLeases(context.client, context.topic.name, context.group),
      scope: this.#scope,
      member: context.owner,
      clock: context.clock,
      random: context.random,
      logger: context.logger,
      failoverMs: context.failoverMs,
      // Other processes grow and delete topics too; this is how soon a member that reads nothing sees it.
      discoverEveryMs: context.failoverMs,
      isDead: (owner) => isDeadOwner(owner, context.host),
      listPartitions: () => this.#listPartitions(),
      events: {
        acquired: (lease) => this.#acquired(lease),
        revoking: (partitions, deadlineMs) => this.#revoking(partitions, deadlineMs),
        lost: (partitions, reason) => {
          const { reader } = context
          if (reader.withdraw(reader.tenuresOf(partitions))) context.events.lost(partitions, reason)
        },
      },
    })
  }

  async start(): Promise<void> {
    const { client, topic, group, owner, start } = this.#context
    const context = { operation: 'subscribe', topic: topic.name, group }
    await client.call('join', { topic: topic.name, group, owner, start }, context)
    await this.#coordinator.start()
  }

  /** Leases are looked at now: a seek or a growth has changed them. */
  refresh(): void {
    void this.#coordinator.refresh()
  }

  drained(): void {
    // Core commits the end once it has settled everything; the children are free then.
  }

  async commit(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
    const { client, topic, group } = this.#context
    const context = { operation: 'commit', topic: topic.name, group }
    const stored = await client.call(
      'commit',
      commits.map((commit) => this.#toLeaseCommit(commit)),
      context,
    )
    this.#afterCommit(commits, stored)
    return commits.map((commit, index): CommitOutcome =>
      stored[index] === true ? { ok: true } : { ok: false, error: fenced(commit.partition, commit.epoch) },
    )
  }

  async transact(
    records: readonly TransactionRecord[],
    commits: readonly Commit[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]> {
    const leaseCommits = commits.map((commit) => this.#toLeaseCommit(commit))
    try {
      const outcomes = await this.#context.transact(records, leaseCommits, signal)
      this.#afterCommit(
        commits,
        commits.map(() => true),
      )
      return outcomes
    } catch (error) {
      if (StreamError.is(error, 'fenced')) this.refresh()
      throw error
    }
  }

  async close(): Promise<void> {
    const { leave, logger, onClose } = this.#context
    onClose()
    await this.#coordinator.close()
    await leave().catch((error: unknown) =>
      logger.warn({ error }, 'could not leave the group; others wait for the failover'),
    )
  }

  /** An ended partition is done with, and its children may start; a refused commit means that somebody else has it. */
  #afterCommit(commits: readonly Commit[], stored: readonly boolean[]): void {
    const ended = commits.filter((commit, index) => commit.ended && stored[index] === true)
    this.#context.reader.withdraw(ended)
    if (ended.length > 0 || stored.includes(false)) this.refresh()
  }

  #toLeaseCommit(commit: Commit): LeaseCommit {
    const { partition, epoch, through, ended } = commit
    return { scope: this.#scope, owner: this.#context.owner, partition, epoch, through, ended }
  }

  async #acquired(lease: Lease): Promise<void> {
    const { topic, reader } = this.#context
    const partition = topic.byName(lease.partition) ?? (await topic.partition(lease.partition))
    const held = this.#coordinator
      .held()
      .some((each) => each.partition === lease.partition && each.epoch === lease.epoch)
    if (!held) return
    const offset = lease.checkpoint === undefined ? 0 : toOffset(lease.checkpoint, lease.partition) + 1
    reader.assign(partition, lease.epoch, offset)
  }

  async #revoking(partitions: readonly PartitionId[], deadlineMs: number): Promise<void> {
    const { events, reader } = this.#context
    // While they are drained a seek can end the tenure, and the next one begin here.
    const tenures = reader.tenuresOf(partitions)
    await events.revoking(partitions, deadlineMs)
    reader.withdraw(tenures)
  }

  async #listPartitions(): Promise<readonly { id: PartitionId; parents: readonly PartitionId[] }[]> {
    const { topic, events } = this.#context
    try {
      await topic.refresh()
      if (topic.info.id !== this.#topicId) throw madeAnew(topic.name)
    } catch (error) {
      // A member that reads nothing at the moment learns it in no other way.
      if (StreamError.is(error, 'not-found')) events.failed(error)
      throw error
    }
    return topic.info.partitions.map(({ name, parents }) => ({ id: name, parents }))
  }
}

/** What a reader without a group works with. */
export interface AloneContext {
  readonly client: StoreClient
  readonly topic: TopicView
  readonly start: StartFrom
  readonly reader: Reader
}

/** Reads every partition, parents before their children, and keeps no progress. */
export class AloneMembership implements Membership {
  readonly #context: AloneContext
  readonly #begun = new Set<PartitionId>()
  readonly #drained = new Set<PartitionId>()
  #offsets: ReadonlyMap<number, number> = new Map()

  constructor(context: AloneContext) {
    this.#context = context
  }

  async start(): Promise<void> {
    const { client, topic, start } = this.#context
    const cursors = await client.call('place', { topic: topic.name, start }, { operation: 'read', topic: topic.name })
    this.#offsets = new Map(cursors.map((cursor) => [cursor.partition, cursor.offset]))
    await topic.refresh()
    this.#assignReady()
  }

  drained(partition: PartitionInfo): void {
    this.#drained.add(partition.name)
    void this.#context.topic
      .refresh()
      .then(() => this.#assignReady())
      .catch(() => undefined)
  }

  async commit(): Promise<readonly CommitOutcome[]> {
    throw withoutGroup()
  }

  async transact(): Promise<readonly SendOutcome[]> {
    throw withoutGroup()
  }

  async close(): Promise<void> {
    // Nobody was told of this reader.
  }

  #assignReady(): void {
    const { topic, reader } = this.#context
    const known = new Set(topic.info.partitions.map((partition) => partition.name))
    for (const partition of topic.info.partitions) {
      if (this.#begun.has(partition.name)) continue
      if (!partition.parents.every((parent) => this.#drained.has(parent) || !known.has(parent))) continue
      this.#begun.add(partition.name)
      reader.assign(partition, 0, this.#offsets.get(partition.id) ?? 0)
    }
  }
}

function withoutGroup(): StreamError {
  return new StreamError(
    'invalid-argument',
    'a reader without a group keeps no progress; subscribe with a group to commit',
  )
}

/** The lease table in the store's thread, as the coordinator wants it. */
class StoreLeases implements LeaseStore {
  readonly #client: StoreClient
  readonly #context: { readonly operation: string; readonly topic: string; readonly group: string }

  constructor(client: StoreClient, topic: string, group: string) {
    this.#client = client
    this.#context = { operation: 'keep leases', topic, group }
  }

  list(scope: string): Promise<readonly Lease[]> {
    return this.#client.call('listLeases', scope, this.#context)
  }

  create(lease: Lease): Promise<boolean> {
    return this.#client.call('createLease', lease, this.#context)
  }

  replace(lease: Lease): Promise<Lease | undefined> {
    return this.#client.call('replaceLease', lease, this.#context)
  }

  remove(lease: Lease): Promise<boolean> {
    return this.#client.call('removeLease', lease, this.#context)
  }
}
