import { StreamError } from '@sluice/driver'
import type { Clock, DriverAdmin, PartitionLag, StartFrom, TopicDescription, TopicSpec } from '@sluice/driver'
import type { StoreClient } from './store/client.ts'

/** What the administration works with. */
export interface AdminContext {
  readonly client: StoreClient
  readonly clock: Clock
  readonly defaultPartitions: number
  /** A group was moved or a topic has other partitions: members of this process look at their leases at once. */
  readonly onChange: (topic: string) => void
}

/** A topic whose name is as long as names get has dead letters too. */
const topicName = /^[a-z0-9][\w.-]{0,199}(\.dead-letters)?$/i
const maxPartitions = 1024

/** Looks after the topics and groups of one log. Every call is one transaction. */
export class LocalAdmin implements DriverAdmin {
  readonly #context: AdminContext

  constructor(context: AdminContext) {
    this.#context = context
  }

  async createTopic(name: string, spec: TopicSpec, signal: AbortSignal): Promise<'created' | 'exists'> {
    checkName(name)
    checkSpec(name, spec)
    const { client, defaultPartitions } = this.#context
    return client.call('createTopic', { name, spec, defaultPartitions }, begin('create', signal, name))
  }

  async describeTopic(name: string, signal: AbortSignal): Promise<TopicDescription> {
    return this.#context.client.call('describeTopic', name, begin('describe', signal, name))
  }

  async listTopics(signal: AbortSignal): Promise<readonly string[]> {
    return this.#context.client.call('listTopics', undefined, begin('list topics', signal))
  }

  async setPartitions(name: string, count: number, signal: AbortSignal): Promise<void> {
    checkSpec(name, { partitions: count })
    await this.#context.client.call('setPartitions', { name, count }, begin('set partitions', signal, name))
    this.#context.onChange(name)
  }

  async setRetention(
    name: string,
    retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>,
    signal: AbortSignal,
  ): Promise<void> {
    checkSpec(name, retention)
    await this.#context.client.call('setRetention', { name, retention }, begin('set retention', signal, name))
  }

  async deleteTopic(name: string, signal: AbortSignal): Promise<void> {
    await this.#context.client.call('deleteTopic', name, begin('delete', signal, name))
    this.#context.onChange(name)
  }

  async listGroups(topic: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.#context.client.call('listGroups', topic, begin('list groups', signal, topic))
  }

  async deleteGroup(topic: string, group: string, signal: AbortSignal): Promise<void> {
    await this.#context.client.call('deleteGroup', { topic, group }, begin('delete group', signal, topic, group))
  }

  async seek(topic: string, group: string, to: StartFrom, signal: AbortSignal): Promise<void> {
    await this.#context.client.call('seek', { topic, group, to }, begin('seek', signal, topic, group))
    this.#context.onChange(topic)
  }

  async lag(topic: string, group: string, signal: AbortSignal): Promise<readonly PartitionLag[]> {
    const { client, clock } = this.#context
    return client.call('lag', { topic, group, nowMs: clock.now() }, begin('lag', signal, topic, group))
  }
}

interface Context {
  readonly operation: string
  readonly topic?: string
  readonly group?: string
}

/** Throws `aborted` when the signal says so already; else what errors are told about the call. */
function begin(operation: string, signal: AbortSignal, topic?: string, group?: string): Context {
  if (signal.aborted) throw StreamError.aborted(signal, operation)
  return { operation, ...(topic === undefined ? {} : { topic }), ...(group === undefined ? {} : { group }) }
}

function checkName(name: string): void {
  if (topicName.test(name)) return
  throw new StreamError(
    'invalid-argument',
    `"${name}" cannot name a topic; use 1 to 200 letters, digits, ".", "_", "-", and begin with a letter or digit`,
  )
}

function checkSpec(name: string, spec: TopicSpec): void {
  const { partitions, retentionMs, retentionBytes, order } = spec
  const wrong =
    partitions !== undefined && !isWhole(partitions, 1, maxPartitions)
      ? `partitions ${partitions}; write a whole number from 1 to ${maxPartitions}`
      : retentionMs !== undefined && !isWhole(retentionMs, 1, Number.MAX_SAFE_INTEGER)
        ? `retentionMs ${retentionMs}; write whole milliseconds, at least 1`
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
