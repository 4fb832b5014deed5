import type { OutgoingRecord } from '@sluice/driver'
import { bytesCodec } from '../codecs.ts'

/** A record as core makes it, with a body of so many bytes. */
export function sample(length: number, changes: Partial<OutgoingRecord> = {}): OutgoingRecord {
  return {
    id: '01890000-0000-7000-8000-000000000000',
    key: undefined,
    body: new Uint8Array(length),
    producedAtMs: Date.now(),
    expiresAtMs: undefined,
    partition: undefined,
    ...changes,
    headers: { 'content-type': bytesCodec.contentType, ...changes.headers },
  }
}

/** The longest body with which a record still measures no more than `limit`. */
export function longestBody(
  measure: (record: OutgoingRecord) => number,
  limit: number,
  changes: Partial<OutgoingRecord>,
): number {
  let [fits, over] = [0, limit + 1]
  while (over - fits > 1) {
    const middle = Math.floor((fits + over) / 2)
    if (measure(sample(middle, changes)) <= limit) fits = middle
    else over = middle
  }
  return fits
}
