import { InFlight, StreamError } from '@sluice/driver'
import type { Clock, DriverProducer, OutgoingRecord, PartitionId, SendOutcome } from '@sluice/driver'
import type { Acks, Answer, Sent } from './acks.ts'
import { encodeRecord, measureRecord, toPosition } from './codec.ts'
import type { Connection } from './connection.ts'
import { toStreamError } from './errors.ts'
import { matches } from './layout.ts'
import type { TopicView } from './topic.ts'
import type { Topics } from './topics.ts'

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

/** A record of a request: on its way to a partition, or refused before. */
type Item = { readonly partition: PartitionId; readonly sent: Sent } | { readonly error: StreamError }

/** Publishes requests to one topic: every record is a message of its own, all of them in flight at once. */
export class NatsProducer implements DriverProducer {
  readonly #context: ProducerContext
  readonly #inFlight = new InFlight()

  constructor(context: ProducerContext) {
    this.#context = context
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
    const { clock, requestTimeoutMs, topic } = this.#context
    if (topic.asksForUnknown(records)) await this.#lookUp()
    const items = records.map((record) => this.#publish(record, what))
    const giveUp = (error: StreamError): void => {
      for (const item of items) if ('sent' in item) item.sent.giveUp(error)
    }
    const onAbort = (): void => giveUp(abortedOnTheWay(signal, what))
    const timer = clock.after(requestTimeoutMs, () => giveUp(unanswered(what, requestTimeoutMs)))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const answers = await Promise.all(items.map(answerOf))
      const nobody = answers.some((answer) => answer?.kind === 'nobody') ? await this.#whyNobody(what) : undefined
      return await Promise.all(items.map((item, index) => this.#toOutcome(item, answers[index], nobody)))
    } finally {
      timer.cancel()
      signal.removeEventListener('abort', onAbort)
    }
  }

  async #lookUp(): Promise<void> {
    const { topic } = this.#context
    try {
      await topic.refresh()
    } catch (cause) {
      throw toStreamError(cause, { operation: 'send', topic: topic.name })
    }
  }

  #publish(record: OutgoingRecord, what: string): Item {
    const { acks, topic, maxRecordBytes } = this.#context
    const partition = topic.partitionOf(record)
    if (StreamError.is(partition)) return { error: partition }
    const bytes = measureRecord(record)
    if (bytes > maxRecordBytes) {
      const message = `the record ${record.id} takes ${bytes} bytes, ${maxRecordBytes} are allowed; raise the server's max_payload or the stream's max_msg_size`
      return { error: new StreamError('too-large', message) }
    }
    try {
      const { block, body } = encodeRecord(record)
      return { partition, sent: acks.send(topic.subjectOf(partition), body, block) }
    } catch (cause) {
      return { error: toStreamError(cause, { operation: what }) }
    }
  }

  async #toOutcome(item: Item, answer: Answer | undefined, nobody: StreamError | undefined): Promise<SendOutcome> {
    if ('error' in item) return { ok: false, error: item.error }
    if (answer?.kind === 'stored') {
      if (answer.duplicate) return this.#duplicate(answer.sequence)
      return { ok: true, partition: item.partition, position: toPosition(answer.sequence) }
    }
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

function answerOf(item: Item): Promise<Answer | undefined> {
  return 'sent' in item ? item.sent.answer : Promise.resolve(undefined)
}

function idsOf(topic: TopicView): string {
  return topic.open.map((partition) => partition.id).join()
}

function abortedOnTheWay(signal: AbortSignal, what: string): StreamError {
  return new StreamError('aborted', `${what} was aborted while it was on its way; it may have been stored`, {
    cause: signal.reason,
    ambiguous: true,
  })
}

function unanswered(what: string, afterMs: number): StreamError {
  return new StreamError('timeout', `${what} failed: no answer of the stream within ${afterMs} ms`)
}
