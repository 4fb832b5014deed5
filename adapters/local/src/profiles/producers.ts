import { StreamError } from '@sluice/driver'
import type { Capabilities, DriverProducer, DriverTopic, OutgoingRecord, SendOutcome } from '@sluice/driver'

/** One record of this many fails in the profile `partial`. */
const failEvery = 5
/** One request of this many loses its answer in the ambiguous profiles. */
const loseEvery = 4

/** What the profiles do to a producer of one topic. */
export interface ProducerFaults {
  readonly partial: boolean
  readonly ambiguous: boolean
}

/** A producer with what a profile takes away, and with the trouble it makes. */
export class ProfiledProducer implements DriverProducer {
  readonly #inner: DriverProducer
  readonly #topic: DriverTopic
  readonly #capabilities: Capabilities
  readonly #faults: ProducerFaults
  #records = 0
  #requests = 0

  constructor(inner: DriverProducer, topic: DriverTopic, capabilities: Capabilities, faults: ProducerFaults) {
    this.#inner = inner
    this.#topic = topic
    this.#capabilities = capabilities
    this.#faults = faults
  }

  async sendBatch(records: readonly OutgoingRecord[], signal: AbortSignal): Promise<readonly SendOutcome[]> {
    this.#checkRequest(records)
    const refused = records.map((record) => this.#refusal(record))
    const sent = records.filter((_, index) => refused[index] === undefined)
    const stored = sent.length === 0 ? [] : await this.#inner.sendBatch(sent, signal)
    if (this.#faults.ambiguous && sent.length > 0 && ++this.#requests % loseEvery === 0) throw lostAnswer()
    let at = 0
    return refused.map((error): SendOutcome => (error === undefined ? this.#show(stored[at++]) : { ok: false, error }))
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  #checkRequest(records: readonly OutgoingRecord[]): void {
    const { maxBatchRecords, maxBatchBytes } = this.#topic.limits
    const bytes = records.reduce((sum, record) => sum + this.#topic.measure(record), 0)
    if (records.length <= maxBatchRecords && bytes <= maxBatchBytes) return
    throw new StreamError(
      'too-large',
      `a request of ${records.length} records and ${bytes} bytes is over the limit of ${maxBatchRecords} and ${maxBatchBytes}`,
    )
  }

  #refusal(record: OutgoingRecord): StreamError | undefined {
    const { maxRecordBytes } = this.#topic.limits
    if (record.partition !== undefined && !this.#capabilities.explicitPartition)
      return unsupported('a partition of your choice')
    if (record.key === '' && !this.#capabilities.emptyKey) return unsupported('the empty key')
    if (this.#topic.measure(record) > maxRecordBytes) {
      return new StreamError('too-large', `the record ${record.id} is over ${maxRecordBytes} bytes`)
    }
    if (!this.#faults.partial || ++this.#records % failEvery !== 0) return undefined
    return new StreamError('throttled', 'this record was throttled by the profile "partial"; send it again')
  }

  #show(outcome: SendOutcome | undefined): SendOutcome {
    if (outcome === undefined) throw new StreamError('internal', 'a record came back without an outcome')
    if (!outcome.ok || this.#capabilities.receiptPosition) return outcome
    return outcome.duplicate === true ? { ok: true, duplicate: true } : { ok: true }
  }
}

function lostAnswer(): StreamError {
  return new StreamError('timeout', 'the answer was lost by the profile "ambiguous"; the request may have been stored')
}

/** The error for what a profile has taken away. */
export function unsupported(what: string): StreamError {
  return new StreamError('unsupported', `this profile does not have ${what}`)
}
