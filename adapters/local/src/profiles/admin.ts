import { noPartition } from '@sluice/driver'
import type {
  Capabilities,
  DriverAdmin,
  PartitionDescription,
  PartitionLag,
  StartFrom,
  TopicDescription,
  TopicSpec,
} from '@sluice/driver'
import { membersRun } from '../store/groups.ts'
import { unsupported } from './producers.ts'
import { checkStart } from './start.ts'
import type { ProfileSupport } from './support.ts'

/** Administration with what a profile takes away. */
export class ProfiledAdmin implements DriverAdmin {
  readonly #inner: DriverAdmin
  readonly #capabilities: Capabilities
  readonly #support: ProfileSupport

  constructor(inner: DriverAdmin, capabilities: Capabilities, support: ProfileSupport) {
    this.#inner = inner
    this.#capabilities = capabilities
    this.#support = support
  }

  createTopic(name: string, spec: TopicSpec, signal: AbortSignal): Promise<'created' | 'exists'> {
    return this.#inner.createTopic(name, spec, signal)
  }

  async describeTopic(name: string, signal: AbortSignal): Promise<TopicDescription> {
    const topic = await this.#inner.describeTopic(name, signal)
    return this.#capabilities.positions === 'none' ? { ...topic, partitions: [asOne(topic.partitions)] } : topic
  }

  listTopics(signal: AbortSignal): Promise<readonly string[]> {
    return this.#inner.listTopics(signal)
  }

  async setPartitions(name: string, count: number, signal: AbortSignal): Promise<void> {
    if (this.#capabilities.repartition === false) throw unsupported('partitions to change')
    await this.#inner.setPartitions(name, count, signal)
  }

  setRetention(
    name: string,
    retention: Pick<TopicSpec, 'retentionMs' | 'retentionBytes'>,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#inner.setRetention(name, retention, signal)
  }

  deleteTopic(name: string, signal: AbortSignal): Promise<void> {
    return this.#inner.deleteTopic(name, signal)
  }

  listGroups(topic: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.#inner.listGroups(topic, signal)
  }

  deleteGroup(topic: string, group: string, signal: AbortSignal): Promise<void> {
    return this.#inner.deleteGroup(topic, group, signal)
  }

  async seek(topic: string, group: string, to: StartFrom, signal: AbortSignal): Promise<void> {
    checkStart(to, this.#capabilities.seek)
    if (!this.#capabilities.seekLive && (await this.#support.hasMembers(topic, group)))
      throw membersRun(topic, group, 'be moved')
    await this.#inner.seek(topic, group, to, signal)
  }

  async lag(topic: string, group: string, signal: AbortSignal): Promise<readonly PartitionLag[]> {
    const lags = await this.#inner.lag(topic, group, signal)
    const shown = this.#capabilities.positions === 'none' ? [lagAsOne(lags)] : lags
    if (this.#capabilities.lag.includes('messages')) return shown
    return shown.map(({ partition, ageMs, committed, owner }) => ({
      partition,
      committed,
      owner,
      ...(ageMs === undefined ? {} : { ageMs }),
    }))
  }
}

/** All partitions as the one of a backend that has none. */
function asOne(partitions: readonly PartitionDescription[]): PartitionDescription {
  const sum = (of: (each: PartitionDescription) => number | undefined): number =>
    partitions.reduce((total, each) => total + (of(each) ?? 0), 0)
  return {
    id: noPartition,
    state: 'open',
    parents: [],
    records: sum((each) => each.records),
    bytes: sum((each) => each.bytes),
  }
}

function lagAsOne(lags: readonly PartitionLag[]): PartitionLag {
  return {
    partition: noPartition,
    messages: lags.reduce((total, each) => total + (each.messages ?? 0), 0),
    ageMs: lags.reduce((most, each) => Math.max(most, each.ageMs ?? 0), 0),
    committed: undefined,
    owner: undefined,
  }
}
