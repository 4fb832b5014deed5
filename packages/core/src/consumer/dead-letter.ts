import type { Clock, OutgoingRecord } from '@sluice/driver'
import { StreamError, textOf } from '@sluice/driver'
import type { IdGenerator } from '../ids.ts'
import type { Delivery } from './delivery.ts'

const prefix = 'dlq-'
/** Names the record of the same topic that holds the body, headers and key of a dead letter that came in two parts. */
export const bodyIdHeader = 'dlq-body-id'
/** Set on a record sent back: only this group handles it again. */
export const redriveGroupHeader = 'dlq-redrive-group'
const maxTextBytes = 900

/** What a dead letter says of its end. */
export interface DeadLetterFacts {
  readonly group: string
  readonly reason: string
  readonly error: unknown
}

/** The record for the dead-letter topic: original key, bytes and headers, with the origin and the error as `dlq-` headers. */
export function deadLetterRecord(
  delivery: Delivery,
  facts: DeadLetterFacts,
  ids: IdGenerator,
  clock: Clock,
): OutgoingRecord {
  const { record } = delivery
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(record.headers)) if (!name.startsWith(prefix)) headers[name] = value
  headers['dlq-topic'] = delivery.topic
  headers['dlq-group'] = facts.group
  headers['dlq-id'] = record.id
  headers['dlq-partition'] = record.partition
  if (record.position !== undefined) headers['dlq-position'] = record.position
  headers['dlq-time'] = String(record.timeMs)
  headers['dlq-attempts'] = String(delivery.attempt)
  headers['dlq-reason'] = headerText(facts.reason)
  if (StreamError.is(facts.error)) headers['dlq-error-code'] = facts.error.code
  if (facts.error !== undefined) headers['dlq-error'] = headerText(textOf(facts.error))
  return {
    id: ids.next(),
    key: record.key,
    headers,
    body: record.body,
    producedAtMs: clock.now(),
    expiresAtMs: undefined,
    partition: undefined,
  }
}

/**
 * The dead letter in two parts, for a record so close to the size limit that nothing can be added to it: first the record
 * as it was, then its facts in a record without a body. Who finds only the first knows that the second was not stored.
 */
export function inTwoParts(letter: OutgoingRecord, { record }: Delivery, ids: IdGenerator): readonly OutgoingRecord[] {
  const { key, headers, body } = record
  // An id of its own: its own id may be another message's too, and a backend would take it for a repeat.
  const id = ids.next()
  const own = Object.entries(letter.headers).filter(([name]) => name.startsWith(prefix))
  return [
    { ...letter, id, key, headers, body },
    { ...letter, headers: { ...Object.fromEntries(own), [bodyIdHeader]: id }, body: new Uint8Array() },
  ]
}

/** One line, trimmed, well-formed and short enough for a header of every backend. */
function headerText(text: string): string {
  const line = text
    .toWellFormed()
    .replace(/[\s\0]+/g, ' ')
    .trim()
  if (Buffer.byteLength(line) <= maxTextBytes) return line
  const cut = Buffer.from(line).subarray(0, maxTextBytes).toString('utf8')
  return `${cut.replace(/\uFFFD+$/, '').trimEnd()}…`
}
