import { AckPolicy, DeliverPolicy } from '@nats-io/jetstream'
import type { ConsumerInfo } from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import type { Subscription } from '@nats-io/transport-node'
import { StreamError } from '@sluice/driver'
import type { PartitionLag, StartFrom } from '@sluice/driver'
import { encodeName, toPosition } from './codec.ts'
import type { NatsConfig } from './config.ts'
import type { Connection } from './connection.ts'
import { isConsumerMissing, isUnanswered } from './errors.ts'
import { durableOf } from './groups.ts'
import type { GroupInfo, Groups } from './groups.ts'
import type { TopicView } from './topic.ts'

/** The consumer that the members of a group share. */
export interface Durable {
  readonly name: string
  /** How long a delivery stays with one member: its `ack_wait`. */
  readonly leaseMs: number
}

/** Deliveries that may be unsettled at once, in a group: what a member holds, and what waits for a retry. */
const maxUnsettled = 100_000

/** What a member answers when it is asked whether it runs. */
const here = 'here'

/** Groups of topics without order: a durable consumer each, shared by the members. */
export class Durables {
  readonly #connection: Connection
  readonly #groups: Groups
  readonly #config: NatsConfig

  constructor(connection: Connection, groups: Groups, config: NatsConfig) {
    this.#connection = connection
    this.#groups = groups
    this.#config = config
  }

  /** The group's consumer, made to begin at `start` when the group is new. */
  async join(topic: TopicView, group: string, start: StartFrom): Promise<Durable> {
    return this.#ensure(topic, group, await this.#groups.join(topic, group, start))
  }

  /** What the group's consumer is called now. Rejects with `not-found` when the group is not known. */
  async nameOf(topic: TopicView, group: string): Promise<string> {
    return durableOf(group, (await this.#groups.get(topic, group)).value.generation)
  }

  /** The consumer of a group there is. Rejects with `not-found` when the group is not known. */
  async bind(topic: TopicView, group: string): Promise<Durable> {
    return this.#ensure(topic, group, (await this.#groups.get(topic, group)).value)
  }

  /** Moves the group: it has another consumer from now on, and its members change over to it. */
  async move(topic: TopicView, group: string, to: StartFrom): Promise<void> {
    if (to.kind === 'position' && !topic.info.partitions.some(({ id }) => to.positions[id] !== undefined)) return
    const { before, now } = await this.#groups.move(topic, group, to)
    await this.#ensure(topic, group, now)
    if (before !== undefined) await this.#delete(topic, durableOf(group, before.generation))
  }

  /** Forgets the group. Rejects with `conflict` while members run. */
  async forget(topic: TopicView, group: string): Promise<void> {
    const { value } = await this.#groups.get(topic, group)
    if (await this.#hasMembers(topic, group)) {
      throw new StreamError('conflict', `group "${group}" has running members on topic "${topic.name}"; end them first`)
    }
    await this.#groups.forget(topic, group)
    await this.#delete(topic, durableOf(group, value.generation))
  }

  async lag(topic: TopicView, group: string, nowMs: number): Promise<readonly PartitionLag[]> {
    const { value } = await this.#groups.get(topic, group)
    const { name } = await this.#ensure(topic, group, value)
    const info = await this.#connection.streams.consumers.info(topic.stream, name)
    const floor = info.ack_floor.stream_seq
    const messages = info.num_pending + info.num_ack_pending
    const timeMs = messages === 0 ? undefined : await this.#groups.timeOf(topic, floor + 1, undefined)
    return [
      {
        partition: topic.info.partitions[0]?.id ?? '0',
        messages,
        ageMs: timeMs === undefined ? 0 : Math.max(0, nowMs - timeMs),
        committed: floor === 0 ? undefined : toPosition(floor),
        owner: undefined,
      },
    ]
  }

  /** Says to whoever asks that the group has a member, until it is unsubscribed. */
  announce(topic: TopicView, group: string): Subscription {
    return this.#connection.client.subscribe(this.#presenceOf(topic, group), {
      callback: (error, message) => {
        if (error === null) message.respond(here)
      },
    })
  }

  async #hasMembers(topic: TopicView, group: string): Promise<boolean> {
    try {
      const { requestTimeoutMs: timeout } = this.#config
      const answer = await this.#connection.client.request(this.#presenceOf(topic, group), '', { timeout })
      return answer.string() === here
    } catch (error) {
      if (isUnanswered(error)) return false
      throw error
    }
  }

  #presenceOf(topic: TopicView, group: string): string {
    return `sluice.members.${this.#config.bucket}.${topic.info.id}.${encodeName(group)}`
  }

  async #ensure(topic: TopicView, group: string, info: GroupInfo): Promise<Durable> {
    const name = durableOf(group, info.generation)
    const found = (await this.#find(topic, name)) ?? (await this.#make(topic, name, info))
    return { name, leaseMs: (found.config.ack_wait ?? nanos(this.#config.leaseMs)) / 1e6 }
  }

  async #find(topic: TopicView, name: string): Promise<ConsumerInfo | undefined> {
    try {
      return await this.#connection.streams.consumers.info(topic.stream, name)
    } catch (error) {
      if (isConsumerMissing(error)) return undefined
      throw error
    }
  }

  /** The same for every member that makes it, so that it does not matter who does. */
  #make(topic: TopicView, name: string, info: GroupInfo): Promise<ConsumerInfo> {
    const partition = topic.info.partitions[0]?.id ?? '0'
    return this.#connection.streams.consumers.add(topic.stream, {
      durable_name: name,
      ack_policy: AckPolicy.Explicit,
      ack_wait: nanos(this.#config.leaseMs),
      max_ack_pending: maxUnsettled,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: info.positions?.[partition] ?? info.from,
    })
  }

  async #delete(topic: TopicView, name: string): Promise<void> {
    try {
      await this.#connection.streams.consumers.delete(topic.stream, name)
    } catch (error) {
      if (!isConsumerMissing(error)) throw error
    }
  }
}
