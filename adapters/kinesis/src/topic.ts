import { StreamError } from '@sluice/driver'
import type { PartitionId } from '@sluice/driver'
import { noAnswer } from './errors.ts'
import type { ShardMap } from './shards.ts'
import type { StreamInfo, Streams } from './streams.ts'

/** The service takes 20 descriptions a second of an account. */
const doubtEveryMs = 1_000

/** What a view asks of {@link Streams}. */
export type StreamLookups = Pick<Streams, 'clock' | 'describe' | 'shards' | 'usable'>

/** What is known of a stream, shared by its producers and sources, and read again when it turns out stale. */
export class TopicView {
  readonly info: StreamInfo
  readonly #streams: StreamLookups
  #shards: ShardMap
  #refreshing: Promise<void> | undefined
  #doubtedMs = Number.NEGATIVE_INFINITY
  #doubting: Promise<void> | undefined
  #ignoresKeys = false

  private constructor(streams: StreamLookups, info: StreamInfo, shards: ShardMap) {
    this.#streams = streams
    this.info = info
    this.#shards = shards
  }

  /** Waits for one that is being made. Rejects with `not-found` when there is none, and `unsupported` when it ignores keys. */
  static async open(streams: StreamLookups, name: string, signal?: AbortSignal): Promise<TopicView> {
    const info = await streams.usable(name, signal)
    if (info.ignoresKeys) throw ignoresKeys(name)
    return new TopicView(streams, info, await streams.shards(name, signal))
  }

  get name(): string {
    return this.info.name
  }

  get shards(): ShardMap {
    return this.#shards
  }

  /** A hash key that lies in the partition; `undefined`: it is not known. */
  hashKeyIn(partition: PartitionId): string | undefined {
    const shard = this.#shards.byId(partition)
    return shard === undefined ? undefined : String(shard.from)
  }

  /** A record came to stand elsewhere than its key says: the stream was resharded, or it ignores keys by now. */
  async doubt(): Promise<void> {
    if (this.#streams.clock.monotonic() - this.#doubtedMs < doubtEveryMs) return
    this.#doubting ??= this.#lookAgain()
    await this.#doubting
  }

  /** Rejects with `unsupported` while the stream ignores keys, from when that was seen. */
  async refuseWithoutOrder(): Promise<void> {
    if (this.#ignoresKeys) await this.doubt()
    if (this.#ignoresKeys) throw ignoresKeys(this.name)
  }

  /** An error where records cannot be sent to the partition. */
  refusal(partition: PartitionId): StreamError | undefined {
    const shard = this.#shards.byId(partition)
    if (shard?.open === true) return undefined
    const known = this.#shards.open.map(({ id }) => id).join(', ')
    return new StreamError(
      shard === undefined ? 'not-found' : 'conflict',
      `partition "${partition}" of topic "${this.name}" ${shard === undefined ? 'does not exist' : 'has ended and takes no more records'}; open ones are ${known}`,
      { details: { topic: this.name, partition } },
    )
  }

  /** Lists the shards again. Calls at the same time share one request. Rejects with `not-found` when it is another stream by now. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh()
    await this.#refreshing
  }

  async #lookAgain(): Promise<void> {
    try {
      const { ignoresKeys: now } = await this.#streams.describe(this.name)
      this.#ignoresKeys = now
      await this.refresh()
      this.#doubtedMs = this.#streams.clock.monotonic()
    } finally {
      this.#doubting = undefined
    }
  }

  async #refresh(): Promise<void> {
    try {
      const now = await this.#streams.shards(this.name)
      if (this.#shards.contradicts(now) || (!this.#shards.meets(now) && (await this.#isAnother())))
        throw new StreamError('not-found', `stream "${this.name}" was deleted and made anew; open it again`, {
          details: { topic: this.name },
        })
      // Its leases would be cleaned up.
      if (now.all.length === 0) throw noAnswer(`list shards on topic "${this.name}"`)
      this.#shards = now
    } finally {
      this.#refreshing = undefined
    }
  }

  /** Asked where the list of shards tells nothing: none of those that were known is in it any more. */
  async #isAnother(): Promise<boolean> {
    return (await this.#streams.describe(this.name)).createdMs !== this.info.createdMs
  }
}

function ignoresKeys(name: string): StreamError {
  return new StreamError(
    'unsupported',
    `stream "${name}" spreads records by itself (RecordDistributionStrategy AUTO) and ignores their keys, so no order can be kept; switch it back with UpdateStreamRecordDistributionStrategy to USER_PARTITION_KEY`,
    { details: { topic: name } },
  )
}
