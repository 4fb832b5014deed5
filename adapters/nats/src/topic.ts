import { StorageType } from '@nats-io/jetstream'
import { StreamError } from '@sluice/driver'
import type { OutgoingRecord, PartitionId } from '@sluice/driver'
import { placeOf, streamOf, subjectOf } from './layout.ts'
import type { PartitionInfo, TopicInfo } from './layout.ts'
import type { FoundTopic, Topics } from './topics.ts'

/** What is known of a topic, shared by its producers and sources, and read again when it turns out stale. */
export class TopicView {
  readonly name: string
  readonly stream: string
  /** The stream's own limit of a record; `undefined`: none. */
  readonly maxMessageBytes: number | undefined
  readonly storage: 'file' | 'memory'
  /** Whether its messages are copied elsewhere, by a cluster or by republishing. */
  readonly copied: boolean
  /** Whether there is order to keep, and the stream takes messages that are stored together, all or none. */
  readonly storesTogether: boolean
  readonly #topics: Topics
  #info: TopicInfo
  #open: readonly PartitionInfo[]
  #byId: ReadonlyMap<PartitionId, PartitionInfo>
  #refreshing: Promise<void> | undefined

  private constructor(topics: Topics, found: FoundTopic) {
    this.name = found.info.name
    this.stream = streamOf(found.info.name)
    const { max_msg_size: size, allow_atomic: together, republish, storage } = found.stream.config
    this.maxMessageBytes = size > 0 ? size : undefined
    this.storage = storage === StorageType.Memory ? 'memory' : 'file'
    this.storesTogether = together === true && found.info.order === 'key'
    // A server alone says who leads, but no name.
    this.copied = found.stream.cluster?.name !== undefined || republish !== undefined
    this.#topics = topics
    this.#info = found.info
    this.#open = openOf(found.info)
    this.#byId = byIdOf(found.info)
  }

  /** Rejects with `not-found` when the topic does not exist. */
  static async open(topics: Topics, name: string): Promise<TopicView> {
    return new TopicView(topics, await topics.get(name))
  }

  get info(): TopicInfo {
    return this.#info
  }

  /** Open partitions, in the order in which keys are spread over them. */
  get open(): readonly PartitionInfo[] {
    return this.#open
  }

  /** Where a record goes: by the partition it asks for, its key, or its id. An error when that partition is not there or has ended. */
  partitionOf(record: OutgoingRecord): PartitionId | StreamError {
    const { partition: wanted } = record
    if (wanted === undefined) return this.#open[placeOf(record, this.#open.length)]?.id ?? '0'
    if (this.#open.some((partition) => partition.id === wanted)) return wanted
    const ended = this.byId(wanted) !== undefined
    const known = this.#open.map((partition) => partition.id).join(', ')
    return new StreamError(
      ended ? 'conflict' : 'not-found',
      `partition "${wanted}" of topic "${this.name}" ${ended ? 'has ended and takes no more records' : 'does not exist'}; open ones are ${known}`,
      { details: { topic: this.name, partition: wanted, id: record.id } },
    )
  }

  /** Whether a record asks for a partition that is not known: it may have come since the topic was looked up. */
  asksForUnknown(records: readonly OutgoingRecord[]): boolean {
    return records.some(({ partition }) => partition !== undefined && this.byId(partition) === undefined)
  }

  byId(id: PartitionId): PartitionInfo | undefined {
    return this.#byId.get(id)
  }

  /** The partitions that come after one that ended. */
  childrenOf(id: PartitionId): readonly PartitionId[] {
    return this.#info.partitions.filter((partition) => partition.parents.includes(id)).map((partition) => partition.id)
  }

  subjectOf(partition: PartitionId): string {
    return subjectOf(this.name, partition)
  }

  /** The subject of a partition's records; `undefined`: every record is, in a topic without order. */
  filterOf(partition: PartitionId): string | undefined {
    return this.#info.order === 'none' ? undefined : this.subjectOf(partition)
  }

  /** Reads the topic again. Calls at the same time share one request. Rejects with `not-found` when it is another one by now. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh()
    await this.#refreshing
  }

  async #refresh(): Promise<void> {
    try {
      const { info } = await this.#topics.get(this.name)
      if (info.id !== this.#info.id) {
        throw new StreamError('not-found', `topic "${this.name}" was deleted and made anew; open it again`, {
          details: { topic: this.name },
        })
      }
      this.#info = info
      this.#open = openOf(info)
      this.#byId = byIdOf(info)
    } finally {
      this.#refreshing = undefined
    }
  }
}

function openOf(info: TopicInfo): readonly PartitionInfo[] {
  return info.partitions.filter((partition) => !partition.ended)
}

function byIdOf(info: TopicInfo): ReadonlyMap<PartitionId, PartitionInfo> {
  return new Map(info.partitions.map((partition) => [partition.id, partition]))
}
