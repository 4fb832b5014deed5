import { refuseUnknownPartitions, sleep, StreamError } from '@sluice/driver'
import type {
  Clock,
  DriverAdmin,
  PartitionDescription,
  PartitionLag,
  StartFrom,
  TopicDescription,
  TopicSpec,
} from '@sluice/driver'
import { toPosition } from './codec.ts'
import type { Connection } from './connection.ts'
import type { Durables } from './durables.ts'
import { toStreamError } from './errors.ts'
import type { Groups } from './groups.ts'
import { streamOf } from './layout.ts'
import type { PartitionInfo } from './layout.ts'
import type { LeaseGroups } from './lease-groups.ts'
import { TopicView } from './topic.ts'
import type { Topics } from './topics.ts'

/** What the administration works with. */
export interface AdminContext {
  readonly connection: Connection
  readonly topics: Topics
  readonly groups: Groups
  readonly durables: Durables
  readonly leaseGroups: LeaseGroups
  readonly clock: Clock
  /** A group was moved or a topic has other partitions: members of this connection look at their leases at once. */
  readonly onChange: (topic: string) => void
}

const topicName = /^[a-z0-9][\w-]*(\.[\w-]+)*$/i
const maxPartitions = 1024

/** Looks after topics and groups. What was begun and broke off is finished by the next call for the same topic. */
export class NatsAdmin implements DriverAdmin {
  readonly #context: AdminContext

  constructor(context: AdminContext) {
    this.#context = context
  }

  createTopic(name: string, spec: TopicSpec, signal: AbortSignal): Promise<'created' | 'exists'> {
    return this.#run('create', signal, { topic: name }, async () => {
      checkName(name)
      checkSpec(name, spec)
      return this.#context.topics.create(name, spec)
    })
  }

  describeTopic(name: string, signal: AbortSignal): Promise<TopicDescription> {
    return this.#run('describe', signal, { topic: name }, async () => {
      const { info, stream } = await this.#context.topics.get(name)
      const view = await TopicView.open(this.#context.topics, name)
      const { max_age: maxAge, max_bytes: maxBytes } = stream.config
      return {
        name,
        order: info.order,
        partitions: info.order === 'none' ? [wholeStream(stream, info.partitions)] : await this.#partitions(view),
        retentionMs: maxAge === 0 ? undefined : maxAge / 1e6,
        retentionBytes: maxBytes > 0 ? maxBytes : undefined,
      }
    })
  }

  listTopics(signal: AbortSignal): Promise<readonly string[]> {
    return this.#run('list topics', signal, {}, () => this.#context.topics.names())
  }

  setPartitions(name: string, count: number, signal: AbortSignal): Promise<void> {
    return this.#run('set partitions', signal, { topic: name }, async () => {
      checkSpec(name, { partitions: count })
      await this.#context.topics.setPartitions(name, count)
      this.#context.onChange(name)
    })
  }

  setRetention(
    name: string,
    retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#run('set retention', signal, { topic: name }, async () => {
      checkSpec(name, retention)
      await this.#context.topics.setRetention(name, retention)
    })
  }

  deleteTopic(name: string, signal: AbortSignal): Promise<void> {
    return this.#run('delete', signal, { topic: name }, async () => {
      await this.#context.topics.remove(name)
      this.#context.onChange(name)
    })
  }

  listGroups(topic: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.#run('list groups', signal, { topic }, async () => this.#context.groups.list(await this.#open(topic)))
  }

  deleteGroup(topic: string, group: string, signal: AbortSignal): Promise<void> {
    return this.#run('delete group', signal, { topic, group }, async () => {
      const view = await this.#open(topic)
      const { durables, leaseGroups } = this.#context
      await (view.info.order === 'none' ? durables.forget(view, group) : leaseGroups.forget(view, group, signal))
    })
  }

  seek(topic: string, group: string, to: StartFrom, signal: AbortSignal): Promise<void> {
    return this.#run('seek', signal, { topic, group }, async () => {
      const view = await this.#open(topic)
      refuseUnknownPartitions(to, topic, (id) => view.byId(id) !== undefined)
      const { durables, leaseGroups } = this.#context
      await (view.info.order === 'none' ? durables.move(view, group, to) : leaseGroups.move(view, group, to))
      this.#context.onChange(topic)
    })
  }

  lag(topic: string, group: string, signal: AbortSignal): Promise<readonly PartitionLag[]> {
    return this.#run('lag', signal, { topic, group }, async () => {
      const view = await this.#open(topic)
      const { durables, leaseGroups, clock } = this.#context
      return view.info.order === 'none'
        ? durables.lag(view, group, clock.now())
        : leaseGroups.lag(view, group, clock.now())
    })
  }

  #open(topic: string): Promise<TopicView> {
    return TopicView.open(this.#context.topics, topic)
  }

  async #partitions(view: TopicView): Promise<readonly PartitionDescription[]> {
    const stream = await this.#context.topics.stream(view.name, view.subjectOf('*'))
    const counts = stream?.state.subjects ?? {}
    return Promise.all(
      view.info.partitions.map((partition) =>
        this.#partition(view, partition, counts[view.subjectOf(partition.id)] ?? 0),
      ),
    )
  }

  async #partition(view: TopicView, partition: PartitionInfo, records: number): Promise<PartitionDescription> {
    const { id, parents, ended } = partition
    const told = { id, parents, state: ended ? 'ended' : 'open', records } as const
    if (records === 0) return told
    const { connection } = this.#context
    const subject = view.subjectOf(id)
    const [first, last] = await Promise.all([
      connection.firstMessage(view.stream, subject, 1),
      connection.streams.streams.getMessage(view.stream, { last_by_subj: subject }),
    ])
    return {
      ...told,
      ...(first === null ? {} : { earliest: toPosition(first.seq) }),
      ...(last === null ? {} : { latest: toPosition(last.seq) }),
    }
  }

  /** Runs a call that the signal can end, and says of its failure what it was. */
  async #run<T>(
    operation: string,
    signal: AbortSignal,
    where: { readonly topic?: string; readonly group?: string },
    call: () => Promise<T>,
  ): Promise<T> {
    if (signal.aborted) throw StreamError.aborted(signal, operation)
    const done = new AbortController()
    const aborted = sleep(this.#context.clock, Infinity, AbortSignal.any([signal, done.signal]))
    try {
      return await Promise.race([call(), aborted as Promise<never>])
    } catch (cause) {
      if (signal.aborted && !StreamError.is(cause)) throw StreamError.aborted(signal, operation)
      throw this.#context.connection.lost ?? toStreamError(cause, { operation, ...where })
    } finally {
      aborted.catch(() => undefined)
      done.abort()
    }
  }
}

function wholeStream(
  stream: {
    readonly state: {
      readonly messages: number
      readonly bytes: number
      readonly first_seq: number
      readonly last_seq: number
    }
  },
  partitions: readonly PartitionInfo[],
): PartitionDescription {
  const { messages, bytes, first_seq: first, last_seq: last } = stream.state
  const told = { id: partitions[0]?.id ?? '0', parents: [], state: 'open', records: messages, bytes } as const
  return messages === 0 ? told : { ...told, earliest: toPosition(first), latest: toPosition(last) }
}

function checkName(name: string): void {
  if (topicName.test(name) && streamOf(name).length <= 200) return
  throw new StreamError(
    'invalid-argument',
    `"${name}" cannot name a topic; use at most 200 letters, digits, "_", "-" and single dots inside, and begin with a letter or digit`,
  )
}

function checkSpec(name: string, spec: TopicSpec): void {
  const { partitions, retentionMs, retentionBytes, order } = spec
  const wrong =
    partitions !== undefined && !isWhole(partitions, 1, maxPartitions)
      ? `partitions ${partitions}; write a whole number from 1 to ${maxPartitions}`
      : retentionMs !== undefined && !isWhole(retentionMs, 100, Number.MAX_SAFE_INTEGER / 1e6)
        ? `retentionMs ${retentionMs}; write whole milliseconds, at least 100`
        : retentionBytes !== undefined && !isWhole(retentionBytes, 1, Number.MAX_SAFE_INTEGER)
          ? `retentionBytes ${retentionBytes}; write whole bytes, at least 1`
          : order !== undefined && order !== 'key' && order !== 'none'
            ? `order ${String(order)}; write key or none`
            : undefined
  if (wrong !== undefined) throw new StreamError('invalid-argument', `topic "${name}" cannot have ${wrong}`)
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max
}
