import type { _Record, GetRecordsOutput } from '@aws-sdk/client-kinesis'
import type { PartitionId } from '@sluice/driver'
import { StreamError } from '@sluice/driver'
import { isExpiredIterator, noAnswer } from './errors.ts'
import { getRecords } from './get-records.ts'
import { iteratorAt } from './iterators.ts'
import type { Place } from './places.ts'
import type { Fetched, ReadingContext, ShardFetcher } from './reading.ts'

/** What one call may bring, and the first one, when nobody knows how large records are. */
const [mostRecords, firstRecords] = [1_000, 10]
/**
 * About what one call is to bring, at most, and at least on a slow line. It could be 10 MiB, of aggregates; then the shard answers
 * nobody for five seconds.
 */
const answerBytes = { most: 1024 * 1024, least: 16 * 1024 }

/**
 * Asks a shard by GetRecords. All groups together have five calls and 2 MB a second of a shard; so one that is behind is
 * asked every `paceMs`, and one that had nothing more every `pollMs`.
 */
export class Polling implements ShardFetcher {
  readonly #context: ReadingContext
  readonly #partition: PartitionId
  readonly #closing = new AbortController()
  #iterator: string | undefined
  /** As much as the line brings in the time that there is for an answer: less after each that was late, more again after others. */
  #bytes = answerBytes.most
  /** As many records as are about that much, by those that came last; at first fewer than those of most topics. */
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
      const { Records: records } = answer
      if (records === undefined) throw noAnswer(`read ${this.#partition} on topic "${topic.name}"`)
      const atEnd = answer.NextShardIterator === undefined
      if (atEnd) await this.#confirmEnd(answer)
      this.#iterator = answer.NextShardIterator
      const isBehind = (answer.MillisBehindLatest ?? 0) > 0 || records.length === input.Limit
      this.#bytes = Math.min(answerBytes.most, this.#bytes * 2)
      if (records.length > 0) this.#limit = limitFor(records, this.#bytes)
      const restMs = (isBehind ? config.paceMs : config.pollMs) - (clock.monotonic() - begunMs)
      return { records, atEnd, nothingMore: !isBehind, restMs }
    } catch (error) {
      if (StreamError.is(error, 'timeout')) this.#askForLess()
      // Five minutes went by, because nobody had room for more.
      if (!(error instanceof StreamError) || !isExpiredIterator(error.cause)) throw error
      this.#iterator = undefined
      return { records: [], atEnd: false, nothingMore: false, restMs: 0 }
    }
  }

  #askForLess(): void {
    this.#bytes = Math.max(answerBytes.least, Math.floor(this.#bytes / 4))
    this.#limit = Math.max(1, Math.floor(this.#limit / 4))
  }

  /** That nothing comes after an answer has to be so: it would be the end for the whole group. Rejects where the shard is open. */
  async #confirmEnd({ ChildShards: children = [] }: GetRecordsOutput): Promise<void> {
    const { topic } = this.#context
    if (children.length > 0) return
    await topic.refresh()
    if (topic.shards.byId(this.#partition)?.open === true)
      throw noAnswer(`read ${this.#partition} on topic "${topic.name}"`)
  }
}

function limitFor(records: readonly _Record[], answer: number): number {
  const bytes = records.reduce((sum, { Data }) => sum + (Data?.length ?? 0), 0)
  return Math.max(1, Math.min(mostRecords, Math.floor((answer * records.length) / bytes)))
}
