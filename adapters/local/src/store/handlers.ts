import { SqliteLeaseTable } from '@sluice/lease'
import type { StoreClock } from './clock.ts'
import type { Database } from './database.ts'
import { EarlyAckTable } from './early-acks.ts'
import { Groups } from './groups.ts'
import { Log } from './log.ts'
import type { CallRequest, CallResult, StoreCall } from './protocol.ts'
import { Queue } from './queue.ts'
import { Retention } from './retention.ts'
import { Topics } from './topics.ts'

/** What is done for each call. */
export type Handlers = { readonly [C in StoreCall]?: (request: CallRequest<C>) => CallResult<C> }

/** The parts of the store over one connection, and which of them answers what. */
export class Parts {
  readonly log: Log
  readonly queue: Queue
  /** Run in a write transaction. */
  readonly writes: Handlers
  /** Run without one. */
  readonly reads: Handlers

  constructor(database: Database, host: string, clock: StoreClock) {
    const leases = SqliteLeaseTable.open(database.raw)
    const topics = new Topics(database)
    const log = new Log(database, leases)
    const groups = new Groups({ database, leases, topics, log, clock, host })
    const queue = new Queue(database, topics, clock)
    const retention = new Retention(database, topics)
    const earlyAcks = new EarlyAckTable(database)
    this.log = log
    this.queue = queue
    this.writes = {
      append: (request) => log.append(request),
      commit: (commits) => commits.map((commit) => leases.commit(commit)),
      createTopic: ({ name, spec, defaultPartitions }) => topics.create(name, spec, defaultPartitions),
      setPartitions: ({ name, count }) => {
        topics.setPartitions(name, count)
        groups.extend(name)
      },
      setRetention: ({ name, retention: wanted }) => topics.setRetention(name, wanted),
      deleteTopic: (name) => topics.delete(name),
      createLease: (lease) => leases.create(lease),
      replaceLease: (lease) => leases.replace(lease),
      removeLease: (lease) => leases.remove(lease),
      join: ({ topic, group, owner, start }) => groups.join(topic, group, owner, start),
      leave: ({ topicId, group, owner }) => groups.leave(topicId, group, owner),
      deleteGroup: ({ topic, group }) => groups.delete(topic, group),
      seek: ({ topic, group, to }) => groups.seek(topic, group, to),
      pull: (request) => queue.pull(request),
      settle: (request) => queue.settle(request, request.items),
      extend: (request) => queue.extend(request, request.tokens, request.leaseMs),
      release: (request) => queue.release(request, request.tokens),
      writeEarlyAcks: (request) => earlyAcks.write(request, request),
      sweep: (nowMs) => {
        log.tidy(nowMs)
        return retention.sweep(nowMs)
      },
    }
    this.reads = {
      read: (request) => log.read(request),
      topic: (name) => topics.info(name),
      describeTopic: (name) => topics.describe(name),
      listTopics: () => topics.list(),
      listLeases: (scope) => leases.list(scope),
      place: ({ topic, start }) => groups.place(topic, start),
      listGroups: (topic) => groups.list(topic),
      hasMembers: ({ topic, group }) => groups.hasMembers(topic, group),
      readEarlyAcks: (group) => earlyAcks.read(group),
      lag: ({ topic, group, nowMs }) => groups.lag(topic, group, nowMs),
    }
  }
}
