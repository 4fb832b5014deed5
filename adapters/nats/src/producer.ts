import { InFlight, StreamError } from '@sluice/driver'
import type { Clock, DriverProducer, OutgoingRecord, PartitionId, SendOutcome } from '@sluice/driver'
import type { Acks } from './acks.ts'
import { encodeRecord, measureRecord, toPosition } from './codec.ts'
import type { Connection } from './connection.ts'
import { toStreamError } from './errors.ts'
import { matches } from './layout.ts'
import { Publishing } from './publishing.ts'
import type { Message, Outcome } from './publishing.ts'
import type { TopicView } from './topic.ts'
import type { Topics } from './topics.ts'
import { Weighing } from './weighing.ts'
import { SendWindow } from './window.ts'

/** What a producer works with. */
export interface ProducerContext {
  readonly connection: Connection
  readonly acks: Acks
  readonly topics: Topics
  readonly topic: TopicView
  readonly clock: Clock
  readonly maxRecordBytes: number
  readonly requestTimeoutMs: number
  readonly onClosed: () => void
}

/** A record of a request: as it is to be written, or refused before. */
type Item = { readonly partition: PartitionId; readonly message: Message } | { readonly error: StreamError }

/** Publishes requests to one topic: every record is a message. Those of one key are stored in order; {@link Publishing} says how. */
export class NatsProducer implements DriverProducer {
  readonly #context: ProducerContext
  readonly #inFlight = new InFlight()
  readonly #weighing: Weighing
  readonly #window = new SendWindow()

  constructor(context: ProducerContext) {
    this.#context = context
    this.#weighing = new Weighing(context.topic.storage)
  }

  async sendBatch(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly SendOutcome[]> {
    const what = `send to topic "${this.#context.topic.name}"`
    return this.#inFlight.run(what, signal, () => this.#send(records, signal, what))
  }

  async close(): Promise<void> {
    await this.#inFlight.close()
    this.#context.onClosed()
  }

  async #send(records: readonly OutgoingRecord[], signal: AbortSignal, what: string): Promise<readonly SendOutcome[]> {
    const { acks, clock, connection, requestTimeoutMs, topic } = this.#context
    if (topic.asksForUnknown(records)) await this.#lookUp()
    if (signal.aborted) throw StreamError.aborted(signal, what)
    const items = records.map((record) => this.#encode(record))
    const publishing = new Publishing({
      acks,
      clock,
      weighing: topic.storesTogether ? this.#weighing : undefined,
      // Looked at each time: after a reconnect it may be another server.
      window: sendsBehind(connection, topic) ? this.#window : undefined,
      signal,
      what,
      timeoutMs: requestTimeoutMs,
    })
    try {
      const messages = items.map((item) => ('message' in item ? item.message : undefined))
      const answers = await publishing.publish(messages, this.#runsOf(records))
      const nobody = answers.some((answer) => answer?.kind === 'nobody') ? await this.#whyNobody(what) : undefined
      return await Promise.all(items.map((item, index) => this.#toOutcome(item, answers[index], nobody)))
    } finally {
      publishing.end()
    }
  }

  /** Which records follow one another, by their indexes. */
  #runsOf(records: readonly OutgoingRecord[]): readonly (readonly number[])[] {
    if (this.#context.topic.info.order === 'none') return records.map((_, index) => [index])
    const runs: number[][] = []
    const keyed = new Map<string, number[]>()
    for (const [index, { key }] of records.entries()) {
      const known = key === undefined ? undefined : keyed.get(key)
      if (known !== undefined) {
        known.push(index)
        continue
      }
      const run = [index]
      runs.push(run)
      if (key !== undefined) keyed.set(key, run)
    }
    return runs
  }

  async #lookUp(): Promise<void> {
    const { topic } = this.#context
    try {
      await topic.refresh()
    } catch (cause) {
      throw toStreamError(cause, { operation: 'send', topic: topic.name })
    }
  }

  #encode(record: OutgoingRecord): Item {
    const { topic, maxRecordBytes } = this.#context
    const partition = topic.partitionOf(record)
    if (StreamError.is(partition)) return { error: partition }
    const bytes = measureRecord(record)
    if (bytes > maxRecordBytes) {
      const message = `the record ${record.id} takes ${bytes} bytes, ${maxRecordBytes} are allowed; raise the server's max_payload or the stream's max_msg_size`
      return { error: new StreamError('too-large', message) }
    }
    const { block, body } = encodeRecord(record)
    const room = maxRecordBytes - bytes
    const subject = topic.subjectOf(partition)
    const idIsNew = record.idIsNew === true
    return { partition, message: { id: record.id, idIsNew, subject, body, headerBlock: block, room } }
  }

  async #toOutcome(item: Item, answer: Outcome | undefined, nobody: StreamError | undefined): Promise<SendOutcome> {
    if ('error' in item) return { ok: false, error: item.error }
    if (answer?.kind === 'stored') {
      if (answer.duplicate) return this.#duplicate(answer.sequence)
      return { ok: true, partition: item.partition, position: toPosition(answer.sequence) }
    }
    if (answer?.kind === 'behind') return { ok: false, error: StreamError.behind(), untried: true }
    if (answer?.kind === 'nobody' && nobody !== undefined) return { ok: false, error: nobody }
    const cause = answer?.kind === 'failed' ? answer.error : undefined
    return { ok: false, error: toStreamError(cause, { operation: 'send', topic: this.#context.topic.name }) }
  }

  /** The first one may stand in a partition that has ended since. */
  async #duplicate(sequence: number): Promise<SendOutcome> {
    const { connection, topic } = this.#context
    const known = { ok: true, duplicate: true } as const
    try {
      const message = await connection.streams.streams.getMessage(topic.stream, { seq: sequence })
      if (message === null) return known
      const partition = message.subject.slice(topic.name.length + 1)
      return { ...known, partition, position: toPosition(sequence) }
    } catch {
      // That it is stored is certain; where, is a courtesy.
      return known
    }
  }

  /** Nobody takes the subject: the topic is gone, its partitions change, or its stream has no leader. Nothing was stored. */
  async #whyNobody(what: string): Promise<StreamError> {
    const { topics, topic } = this.#context
    const again = (why: string): StreamError => new StreamError('unavailable', `${what} failed: ${why}; try again`)
    try {
      const before = idsOf(topic)
      await topic.refresh()
      if (before !== idsOf(topic)) return again('its partitions have just changed')
      const stream = await topics.stream(topic.name)
      const taken = stream?.config.subjects ?? []
      const missing = topic.open.filter(({ id }) => !taken.some((pattern) => matches(pattern, topic.subjectOf(id))))
      const [first] = missing
      if (first !== undefined) {
        const message = `${what} failed: its stream ${topic.stream} does not take ${topic.subjectOf(first.id)} any more; give the subject back to it`
        return new StreamError('conflict', message)
      }
      return again('its stream has no leader at the moment')
    } catch (cause) {
      return toStreamError(cause, { operation: 'send', topic: topic.name })
    }
  }
}

/** Whether records of a key can go out at once, each behind the one before it: see docs/decisions/nats-topics.md. */
export function sendsBehind(connection: Connection, { copied, info }: TopicView): boolean {
  return info.order === 'key' && connection.takesConditions && !copied
}

function idsOf(topic: TopicView): string {
  return topic.open.map((partition) => partition.id).join()
}
