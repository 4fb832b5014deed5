import { StreamError } from '@sluice/driver'
import type { Capabilities, DriverTopic, Limits, OutgoingRecord, Position, SendOutcome } from '@sluice/driver'

/** Capabilities of a backend that can everything, to be narrowed by tests. */
export const allCapabilities: Capabilities = {
  shapes: { key: 'log', none: 'queue' },
  persistent: false,
  embedded: true,
  requestOrder: 'kept',
  dedup: false,
  receiptPosition: true,
  explicitPartition: true,
  positions: 'comparable',
  emptyKey: true,
  start: ['earliest', 'latest', 'time', 'position'],
  seek: ['earliest', 'latest', 'time', 'position'],
  seekLive: true,
  attempts: 'process',
  retryDelay: false,
  repartition: 'any',
  retention: { minMs: 1, maxMs: Infinity, defaultMs: Infinity, bytes: true },
  lag: ['messages', 'age'],
  transactions: true,
  headers: true,
  ids: true,
  balancing: 'lease',
  admin: ['create', 'delete', 'describe', 'list', 'retention'],
}

/** Limits of a backend without peculiarities. */
export const plainLimits: Limits = {
  maxRecordBytes: 1_000_000,
  maxBatchRecords: 500,
  maxBatchBytes: 1_000_000,
  maxKeyBytes: 1_024,
  maxHeaders: 64,
  maxHeaderValueBytes: 1_024,
}

/** What a fake backend does with a request. */
export type Answer = (records: readonly OutgoingRecord[], signal: AbortSignal) => Promise<readonly SendOutcome[]>

/** A topic whose sends go to `answer`. Reading it is not possible. */
export function fakeTopic(answer: Answer, limits: Partial<DriverTopic['limits']> = {}): DriverTopic {
  return {
    name: 't',
    order: 'key',
    limits: { ...plainLimits, ...limits },
    measure: (record) => record.body.length + (record.key?.length ?? 0) + 20,
    comparePositions: (a, b) => Number(a) - Number(b),
    producer: () => Promise.resolve({ sendBatch: answer, close: () => Promise.resolve() }),
    subscribe: () => Promise.reject(new StreamError('unsupported', 'the fake topic cannot be read')),
  }
}

/** The outcome of a stored record. */
export function stored(position: number): SendOutcome {
  return { ok: true, partition: '0', position: String(position) as Position }
}

/** The outcome of a failed record. */
export function failed(code: 'throttled' | 'timeout' | 'invalid-argument' | 'unavailable'): SendOutcome {
  return { ok: false, error: new StreamError(code, `injected ${code}`) }
}
