import type { KinesisClient, PutRecordsResultEntry } from '@aws-sdk/client-kinesis'
import { InFlight, StreamError } from '@sluice/driver'
import type { DriverProducer, OutgoingRecord, PartitionId, SendOutcome } from '@sluice/driver'
import type { Calls } from './calls.ts'
import { isRefusedForContent, recordError } from './errors.ts'
import type { HotShards } from './hot-shards.ts'
import { BatchMemory, MemoryPool } from './memory.ts'
import type { Allocate } from './memory.ts'
import { pack } from './packing.ts'
import type { Lane, PackingOptions, Parcel } from './packing.ts'
import { toPosition } from './places.ts'
import { putRecords } from './put-records.ts'
import type { TopicView } from './topic.ts'

/** What one request may hold. The service takes 10 MiB by now; others still the 5 MiB of before. */
const most = { records: 500, bytes: 5 * 1024 * 1024 }

/** What a producer works with. */
export interface ProducerContext {
  readonly client: KinesisClient
  readonly calls: Calls
  readonly topic: TopicView
  readonly hot: HotShards
  readonly packing: PackingOptions
  readonly onClosed: () => void
}

/** A parcel on its way, and what of its lane comes after. */
interface Sending {
  readonly lane: Lane
  readonly at: number
  readonly parcel: Parcel
}

/** What a batch is asked with. */
interface Asking {
  readonly signal: AbortSignal
  readonly allocate: Allocate
  /** Whether nothing of the batch went before. */
  readonly first: boolean
}

/** What became of a parcel. */
type Answer =
  | { readonly partition: PartitionId | undefined; readonly sequence: string }
  | { readonly error: StreamError }

/**
 * Writes requests to one stream. PutRecords keeps no order and can refuse any record of a request, so of each lane one
 * parcel is under way at a time, and what comes after one that failed fails too.
 */
export class KinesisProducer implements DriverProducer {
  readonly #context: ProducerContext
  readonly #memory = new MemoryPool()
  readonly #inFlight = new InFlight()

  constructor(context: ProducerContext) {
    this.#context = context
  }

  async sendBatch(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly SendOutcome[]> {
    const what = `send to topic "${this.#context.topic.name}"`
    return this.#inFlight.run(what, signal, () => this.#send(records, signal))
  }

  async close(): Promise<void> {
    await this.#inFlight.close()
    this.#context.onClosed()
  }

  async #send(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly SendOutcome[]> {
    const { topic, packing } = this.#context
    await topic.refuseWithoutOrder()
    const unknown = records.some(({ partition }) => partition !== undefined && topic.refusal(partition) !== undefined)
    // It may have come since the shards were listed.
    if (unknown) await topic.refresh()
    const outcomes: SendOutcome[] = []
    const memory = new BatchMemory(this.#memory)
    const { allocate } = memory
    const hashKeyOf = (partition: PartitionId): string | undefined => topic.hashKeyIn(partition)
    const lanes = pack(records, { options: packing, hashKeyOf, allocate })
    let next: readonly Sending[] = lanes.flatMap((lane) => sendingOf(lane, 0))
    for (let first = true; next.length > 0; first = false) {
      const answers = await this.#put(next, { signal, allocate, first })
      next = next.flatMap((sent, index) => this.#settle(sent, answers[index] as Answer, outcomes))
    }
    // Whoever has no answer may still be writing.
    if (outcomes.every(({ ok }) => ok)) memory.release()
    return outcomes
  }

  /** Notes what became of a parcel; gives the next one of its lane where there is one to send. */
  #settle({ lane, at, parcel }: Sending, answer: Answer, outcomes: SendOutcome[]): readonly Sending[] {
    if ('error' in answer) {
      for (const index of parcel.members) outcomes[index] = { ok: false, error: answer.error }
      const behind = StreamError.behind()
      for (const later of lane.parcels.slice(at + 1))
        for (const index of later.members) outcomes[index] = { ok: false, error: behind, untried: true }
      return []
    }
    const { partition, sequence } = answer
    for (const [place, index] of parcel.members.entries()) {
      const position = toPosition(sequence, place)
      outcomes[index] = partition === undefined ? { ok: true, position } : { ok: true, partition, position }
    }
    return sendingOf(lane, at + 1)
  }

  /** Writes parcels of different lanes. Rejects when a whole request failed that nothing went before. */
  async #put(sendings: readonly Sending[], asking: Asking): Promise<readonly Answer[]> {
    const answers: Answer[] = []
    const able: number[] = []
    for (const [index, sending] of sendings.entries()) {
      const refusal = this.#refusalOf(sending)
      if (refusal === undefined) able.push(index)
      else answers[index] = { error: refusal }
    }
    const requests = cut(able, (index) => (sendings[index] as Sending).parcel.bytes)
    const whole = asking.first && requests.length === 1 && able.length === sendings.length
    await Promise.all(
      requests.map(async (indexes) => {
        try {
          const results = await this.#requestApart(
            indexes.map((index) => sendings[index] as Sending),
            asking,
          )
          for (const [at, index] of indexes.entries()) answers[index] = results[at] as Answer
        } catch (cause) {
          if (whole) throw cause
          const error = StreamError.from(cause, 'sending failed')
          for (const index of indexes) answers[index] = { error }
        }
      }),
    )
    return answers
  }

  /** Why a parcel is not sent now: its partition takes nothing, or its shard is left alone. */
  #refusalOf({ parcel }: Sending): StreamError | undefined {
    const { topic, hot } = this.#context
    if (parcel.partition !== undefined) {
      const refusal = topic.refusal(parcel.partition)
      if (refusal !== undefined) return refusal
    }
    return hot.any ? hot.refusal(this.#shardOf(parcel), topic.name) : undefined
  }

  /** The service refuses a request as a whole for one record that it never takes; that one is found, and the others sent. */
  async #requestApart(sendings: readonly Sending[], asking: Asking): Promise<readonly Answer[]> {
    try {
      return await this.#request(sendings, asking)
    } catch (cause) {
      if (sendings.length === 1 || !(cause instanceof StreamError) || !isRefusedForContent(cause.cause)) throw cause
      const half = Math.ceil(sendings.length / 2)
      const parts = [sendings.slice(0, half), sendings.slice(half)]
      const answers = await Promise.all(
        parts.map((part) =>
          this.#requestApart(part, asking).catch((error: unknown) =>
            part.map(() => ({ error: StreamError.from(error, 'sending failed') })),
          ),
        ),
      )
      return answers.flat()
    }
  }

  async #request(sendings: readonly Sending[], { signal, allocate }: Asking): Promise<readonly Answer[]> {
    const { client, calls, topic } = this.#context
    const entries = sendings.map(({ parcel }) => ({
      partitionKey: parcel.partitionKey,
      hashKey: parcel.explicitHashKey,
      data: parcel.data(),
    }))
    const result = await calls.run({ operation: 'send', topic: topic.name, signal }, (abortSignal) =>
      client.send(putRecords(topic.name, entries, allocate), { abortSignal }),
    )
    this.#doubtWhere(sendings[0], result.Records?.[0]?.ShardId)
    return sendings.map((sending, index) => this.#answerOf(sending, result.Records?.[index]))
  }

  /** Of a request one record is looked at: to find the shard of a key costs an MD5. */
  #doubtWhere(sending: Sending | undefined, shard: PartitionId | undefined): void {
    if (sending === undefined || shard === undefined || shard === this.#shardOf(sending.parcel)) return
    // If nobody answers, the next record is doubted too.
    void this.#context.topic.doubt().catch(() => undefined)
  }

  #answerOf({ parcel }: Sending, result: PutRecordsResultEntry | undefined): Answer {
    const { hot, topic } = this.#context
    if (result?.ErrorCode !== undefined) {
      const error = recordError(result.ErrorCode, result.ErrorMessage ?? '', topic.name)
      const shard = this.#shardOf(parcel)
      if (error.code === 'throttled' && shard !== undefined) hot.refused(shard)
      return { error }
    }
    if (result?.SequenceNumber === undefined)
      return {
        error: new StreamError('unavailable', `send on topic "${topic.name}" had no answer for a record`, {
          ambiguous: true,
        }),
      }
    if (result.ShardId !== undefined) {
      hot.took(result.ShardId)
      // The stream was split or merged. Until it is seen, what asks for a partition that has ended goes to what came of it.
      if (topic.shards.byId(result.ShardId) === undefined) void topic.refresh().catch(() => undefined)
    }
    return { partition: result.ShardId, sequence: result.SequenceNumber }
  }

  #shardOf(parcel: Parcel): PartitionId | undefined {
    return parcel.partition ?? this.#context.topic.shards.shardOf(parcel.partitionKey)
  }
}

function sendingOf(lane: Lane, at: number): readonly Sending[] {
  const parcel = lane.parcels[at]
  return parcel === undefined ? [] : [{ lane, at, parcel }]
}

/** Cuts what goes out at once into requests. */
function cut(indexes: readonly number[], size: (index: number) => number): readonly (readonly number[])[] {
  const requests: number[][] = []
  let bytes = 0
  for (const index of indexes) {
    const own = size(index)
    const last = requests.at(-1)
    if (last === undefined || last.length >= most.records || bytes + own > most.bytes) {
      requests.push([index])
      bytes = own
    } else {
      last.push(index)
      bytes += own
    }
  }
  return requests
}
