import { StreamError } from '@sluice/driver'
import type {
  Clock,
  Commit,
  CommitOutcome,
  Lease,
  LeaseStore,
  Logger,
  PartitionEvents,
  Random,
  SendOutcome,
  StartFrom,
  TransactionRecord,
} from '@sluice/driver'
import { GroupMembership as LeasedMembership, AloneMembership as ReaderAlone } from '@sluice/lease'
import type { LeaseCommit, Membership as LeaseMembership, PartitionReader } from '@sluice/lease'
import { toOffset } from './position.ts'
import { fenced } from './requests.ts'
import type { StoreClient } from './store/client.ts'
import { isDeadOwner } from './store/owners.ts'
import { scopeOf } from './store/groups.ts'
import type { PartitionInfo } from './store/topics.ts'
import { madeAnew } from './topic.ts'
import type { TopicView } from './topic.ts'

/** Says which partitions a source reads, and keeps their progress. */
export interface Membership extends LeaseMembership {
  transact(
    records: readonly TransactionRecord[],
    commits: readonly Commit[],
    signal: AbortSignal,
  ): Promise<readonly SendOutcome[]>
}

/** Where reading begins. The partition is the store's own: one of that name is another after the topic was made anew. */
export interface Place {
  readonly partition: PartitionInfo
  readonly offset: number
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
  readonly reader: PartitionReader<Place>
  readonly transact: Transact
  readonly leave: () => Promise<void>
  readonly onClosed: () => void
}

/** A member of a group whose progress is stored in one transaction with its leases, and with what it writes if it wants. */
export class GroupMembership extends LeasedMembership<Place> implements Membership {
  readonly #context: GroupContext
  readonly #scope: string

  constructor(context: GroupContext) {
    const { client, topic, group, owner, host, start } = context
    // The topic may be another one of its name by the time it is looked up again.
    const { id } = topic.info
    const scope = scopeOf(id, group)
    super({
      ...context,
      store: new StoreLeases(client, topic.name, group),
      scope,
      member: owner,
      isDead: (other) => isDeadOwner(other, host),
      join: async () => {
        const request = { topic: topic.name, group, owner, start }
        await client.call('join', request, { operation: 'subscribe', topic: topic.name, group })
      },
      listPartitions: async () => {
        await topic.refresh()
        if (topic.info.id !== id) throw madeAnew(topic.name)
        return topic.info.partitions.map(({ name, parents }) => ({ id: name, parents }))
      },
      startOf: async ({ partition, checkpoint }) => ({
        partition: topic.byName(partition) ?? (await topic.partition(partition)),
        offset: checkpoint === undefined ? 0 : toOffset(checkpoint, partition) + 1,
      }),
    })
    this.#context = context
    this.#scope = scope
  }

  override async commit(commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
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

  override async close(): Promise<void> {
    const { leave, logger } = this.#context
    await super.close()
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
}

/** What a reader without a group works with. */
export interface AloneContext {
  readonly client: StoreClient
  readonly topic: TopicView
  readonly start: StartFrom
  readonly reader: PartitionReader<Place>
  readonly clock: Clock
  readonly logger: Logger
  /** How often to see whether the topic has grown. Milliseconds. */
  readonly everyMs: number
}

/** Reads every partition, parents before their children, and keeps no progress. */
export class AloneMembership extends ReaderAlone<Place> implements Membership {
  readonly #context: AloneContext
  readonly #offsets = new Map<number, number>()

  constructor(context: AloneContext) {
    const { topic, reader, clock, logger, everyMs } = context
    // The topic may be another one of its name by the time it is looked up again.
    const { id: ofTopic } = topic.info
    super({
      topic: topic.name,
      reader,
      clock,
      logger,
      everyMs,
      listPartitions: async () => {
        await topic.refresh()
        if (topic.info.id !== ofTopic) throw madeAnew(topic.name)
        return topic.info.partitions.map(({ name, parents }) => ({ id: name, parents }))
      },
      startOf: (id) => {
        const partition = topic.byName(id)
        if (partition === undefined) throw new StreamError('internal', `no partition ${id} of those just listed`)
        return { partition, offset: this.#offsets.get(partition.id) ?? 0 }
      },
    })
    this.#context = context
  }

  override async start(): Promise<void> {
    const { client, topic, start } = this.#context
    const cursors = await client.call('place', { topic: topic.name, start }, { operation: 'read', topic: topic.name })
    for (const { partition, offset } of cursors) this.#offsets.set(partition, offset)
    await super.start()
  }

  async transact(): Promise<readonly SendOutcome[]> {
    // Which it refuses.
    await this.commit()
    return []
  }
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
