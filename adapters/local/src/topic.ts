import { partitionForKey, StreamError } from '@sluice/driver'
import type { OutgoingRecord, TopicOrder } from '@sluice/driver'
import type { StoreClient } from './store/client.ts'
import type { PartitionInfo, TopicInfo } from './store/topics.ts'

/**
 * What is known of a topic's partitions, shared by its producers and sources, and read again when it turns out stale.
 * Whoever deletes a topic and makes it anew with the same order changes it under its producers; sources are of one topic.
 */
export class TopicView {
  readonly name: string
  readonly order: TopicOrder
  readonly #client: StoreClient
  #info: TopicInfo
  #open: readonly PartitionInfo[]
  #refreshing: Promise<void> | undefined

  private constructor(client: StoreClient, info: TopicInfo) {
    this.name = info.name
    this.order = info.order
    this.#client = client
    this.#info = info
    this.#open = info.partitions.filter((partition) => !partition.ended)
  }

  /** Rejects with `not-found` when the topic does not exist. */
  static async open(client: StoreClient, name: string): Promise<TopicView> {
    return new TopicView(client, await client.call('topic', name, { operation: 'open', topic: name }))
  }

  get info(): TopicInfo {
    return this.#info
  }

  /** Open partitions, in the order in which keys are spread over them. */
  get open(): readonly PartitionInfo[] {
    return this.#open
  }

  /** The index among the open partitions of a record with a key. */
  placeOfKey(key: string): number {
    return this.#open.length === 1 ? 0 : partitionForKey(key, this.#open.length)
  }

  /** The index of the partition a record asked for. An error when it is not there or takes no more records. */
  placeOfName(record: OutgoingRecord, name: string): number | StreamError {
    const place = this.#open.findIndex((partition) => partition.name === name)
    if (place >= 0) return place
    const ended = this.#info.partitions.some((partition) => partition.name === name)
    const problem = ended ? 'has ended and takes no more records' : 'does not exist'
    const known = this.#open.map((partition) => partition.name).join(', ')
    const details = { topic: this.name, partition: name, id: record.id }
    return new StreamError(
      ended ? 'conflict' : 'not-found',
      `partition "${name}" of topic "${this.name}" ${problem}; open ones are ${known}`,
      { details },
    )
  }

  /** Whether a record asks for a partition that is not known: it may have come since the topic was looked up. */
  asksForUnknown(records: readonly OutgoingRecord[]): boolean {
    return records.some(({ partition }) => partition !== undefined && this.byName(partition) === undefined)
  }

  /** The partition of that name, looked up anew when it is not known. */
  async partition(name: string): Promise<PartitionInfo> {
    const known = this.byName(name)
    if (known !== undefined) return known
    await this.refresh()
    const found = this.byName(name)
    if (found === undefined) throw new StreamError('not-found', `topic "${this.name}" has no partition "${name}"`)
    return found
  }

  byName(name: string): PartitionInfo | undefined {
    return this.#info.partitions.find((partition) => partition.name === name)
  }

  /** The partition of that number in the store, as far as it is known. */
  byNumber(id: number): PartitionInfo | undefined {
    return this.#info.partitions.find((partition) => partition.id === id)
  }

  /**
   * Reads the topic again. Calls at the same time share one request. Rejects with `not-found` when the topic does not
   * exist, or is one of another order by now.
   */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh()
    await this.#refreshing
  }

  async #refresh(): Promise<void> {
    try {
      const info = await this.#client.call('topic', this.name, { operation: 'look up', topic: this.name })
      if (info.order !== this.order) throw madeAnew(this.name)
      this.#info = info
      this.#open = info.partitions.filter((partition) => !partition.ended)
    } finally {
      this.#refreshing = undefined
    }
  }
}

/** The error for what was opened of a topic that is another one by now. */
export function madeAnew(topic: string): StreamError {
  return new StreamError('not-found', `topic "${topic}" was deleted and made anew; open it again`, {
    details: { topic },
  })
}
