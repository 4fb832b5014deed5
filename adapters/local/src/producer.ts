import { InFlight, StreamError } from '@sluice/driver'
import type { DriverProducer, Limits, OutgoingRecord, SendOutcome } from '@sluice/driver'
import { measureRecord } from './codec.ts'
import { appendAll } from './requests.ts'
import type { AppendOptions } from './requests.ts'
import type { TopicView } from './topic.ts'
import { answerOrAbort } from './answer-or-abort.ts'

/** What a producer works with. */
export interface ProducerContext {
  readonly topic: TopicView
  readonly limits: Limits
  readonly append: AppendOptions
  readonly onClosed: () => void
}

/** Appends requests to one topic: each is one transaction, stored as a whole or not at all. */
export class LocalProducer implements DriverProducer {
  readonly #context: ProducerContext
  readonly #inFlight = new InFlight()
  #turn = 0

  constructor(context: ProducerContext) {
    this.#context = context
  }

  async sendBatch(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly SendOutcome[]> {
    const what = `send to topic "${this.#context.topic.name}"`
    const sending = this.#inFlight.run(what, signal, () => this.#send(records))
    return answerOrAbort(sending, signal, what)
  }

  async close(): Promise<void> {
    await this.#inFlight.close()
    this.#context.onClosed()
  }

  async #send(records: readonly OutgoingRecord[]): Promise<readonly SendOutcome[]> {
    const { topic, limits, append } = this.#context
    const outcomes: (SendOutcome | undefined)[] = Array.from({ length: records.length })
    refuseTooLarge(records, limits, outcomes)
    if (topic.asksForUnknown(records)) await topic.refresh()
    await appendAll([{ topic, records, indexes: undefined }], outcomes, append, this.#turn++)
    return outcomes.map((outcome) => outcome ?? lost)
  }
}

const lost: SendOutcome = {
  ok: false,
  error: new StreamError('internal', 'a record came out of a request without an outcome', { ambiguous: true }),
}

/** Core checks the limits before; this is the backend's own word. What follows a refused record of its key is refused too. */
function refuseTooLarge(
  records: readonly OutgoingRecord[],
  limits: Limits,
  outcomes: (SendOutcome | undefined)[],
): void {
  if (!records.some((record) => mayBeTooLarge(record, limits))) return
  const failed = new Map<string, StreamError>()
  for (const [index, record] of records.entries()) {
    const before = record.key === undefined ? undefined : failed.get(record.key)
    const error = before ?? refusal(record, limits)
    if (error === undefined) continue
    outcomes[index] = { ok: false, error }
    if (record.key !== undefined) failed.set(record.key, error)
  }
}

/** A look at the parts that can be large spares measuring every record twice. */
function mayBeTooLarge(record: OutgoingRecord, limits: Limits): boolean {
  if (record.body.length > limits.maxRecordBytes / 2) return true
  return record.key !== undefined && record.key.length > limits.maxKeyBytes / 4
}

function refusal(record: OutgoingRecord, limits: Limits): StreamError | undefined {
  const bytes = measureRecord(record)
  if (bytes > limits.maxRecordBytes) {
    const { maxRecordBytes } = limits
    return new StreamError(
      'too-large',
      `the record ${record.id} takes ${bytes} bytes, ${maxRecordBytes} are allowed; raise ?maxRecordBytes`,
    )
  }
  if (record.key !== undefined && Buffer.byteLength(record.key) > limits.maxKeyBytes) {
    return new StreamError('too-large', `the key of record ${record.id} is over ${limits.maxKeyBytes} bytes`)
  }
  return undefined
}
