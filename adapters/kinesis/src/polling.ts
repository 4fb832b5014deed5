import type { _Record } from '@aws-sdk/client-kinesis'
import type { PartitionId } from '@sluice/driver'
import { StreamError } from '@sluice/driver'
import { isExpiredIterator } from './errors.ts'
import { getRecords } from './get-records.ts'
import { iteratorAt } from './iterators.ts'
import type { Place } from './places.ts'
import type { Fetched, ReadingContext, ShardFetcher } from './reading.ts'

/** What one call may bring, and the first one, when nobody knows how large records are. */
const [mostRecords, firstRecords] = [1_000, 100]
/** About what one call is to bring. It could be 10 MiB, of aggregates; then the shard answers nobody for five seconds. */
const answerBytes = 1024 * 1024

/**
 * Asks a shard by GetRecords. All groups together have five calls and 2 MB a second of a shard; so one that is behind is
 * asked every `paceMs`, and one that had nothing more every `pollMs`.
 */
export class Polling implements ShardFetcher {
  readonly #context: ReadingContext
  readonly #partition: PartitionId
  readonly #closing = new AbortController()
  #iterator: string | undefined
  /** As many records as are about `answerBytes`, by those that came last; at first fewer than those of most topics. */
  #limit = firstRecords
  #work: Promise<unknown> = Promise.resolve()

  constructor(context: ReadingContext, partition: PartitionId) {
    this.#context = context
    this.#partition = partition
  }

  fetch(place: Place): Promise<Fetched> {
    const fetched = this.#fetch(place)
    this.#work = fetched.catch(() => undefined)
    return fetched
  }

  reset(): void {
    this.#iterator = undefined
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#work
  }

  async #fetch(place: Place): Promise<Fetched> {
    const { client, calls, topic, config, clock } = this.#context
    const { signal } = this.#closing
    const begunMs = clock.monotonic()
    this.#iterator ??= await iteratorAt(client, calls, topic.name, this.#partition, place, signal)
    const input = { ShardIterator: this.#iterator, Limit: this.#limit }
    try {
      const answer = await calls.run(
        { operation: `read ${this.#partition}`, topic: topic.name, signal },
        (abortSignal) => getRecords(client, input, abortSignal),
      )
      const records = answer.Records ?? []
      this.#iterator = answer.NextShardIterator
      const isBehind = (answer.MillisBehindLatest ?? 0) > 0 || records.length === input.Limit
      if (records.length > 0) this.#limit = limitFor(records)
      const restMs = (isBehind ? config.paceMs : config.pollMs) - (clock.monotonic() - begunMs)
      return { records, atEnd: answer.NextShardIterator === undefined, nothingMore: !isBehind, restMs }
    } catch (error) {
      // Five minutes went by, because nobody had room for more.
      if (!(error instanceof StreamError) || !isExpiredIterator(error.cause)) throw error
      this.#iterator = undefined
      return { records: [], atEnd: false, nothingMore: false, restMs: 0 }
    }
  }
}

function limitFor(records: readonly _Record[]): number {
  const bytes = records.reduce((sum, { Data }) => sum + (Data?.length ?? 0), 0)
  return Math.max(1, Math.min(mostRecords, Math.floor((answerBytes * records.length) / bytes)))
}
