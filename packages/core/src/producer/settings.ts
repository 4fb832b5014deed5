import type { Limits } from '@sluice/driver'
import type { ProducerOptions } from '../api/producer.ts'

/** A producer's options with every default filled in and every ceiling applied. */
export interface ProducerSettings {
  readonly maxBufferedRecords: number
  readonly maxBufferedBytes: number
  readonly maxBatchRecords: number
  readonly maxBatchBytes: number
  readonly lingerMs: number
  readonly maxInFlight: number
  readonly requestTimeoutMs: number
  readonly maxAttempts: number
  readonly backoff: { readonly baseMs: number; readonly maxMs: number }
  readonly maxElapsedMs: number
  readonly fence: boolean
}

/** Fills in defaults and applies ceilings. */
export function producerSettings(options: ProducerOptions, limits: Limits): ProducerSettings {
  const retry = options.retry ?? {}
  return {
    maxBufferedRecords: options.maxBufferedRecords ?? 10_000,
    maxBufferedBytes: options.maxBufferedBytes ?? 64 * 1024 * 1024,
    maxBatchRecords: Math.min(options.maxBatchRecords ?? 1_000, limits.maxBatchRecords),
    maxBatchBytes: Math.min(options.maxBatchBytes ?? limits.usualBatchBytes ?? 1024 * 1024, limits.maxBatchBytes),
    lingerMs: options.lingerMs ?? 0,
    maxInFlight: options.maxInFlight ?? 4,
    requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
    maxAttempts: retry.maxAttempts ?? Infinity,
    backoff: { baseMs: retry.baseMs ?? 50, maxMs: retry.maxMs ?? 5_000 },
    maxElapsedMs: retry.maxElapsedMs ?? 120_000,
    fence: (options.onOrderedFailure ?? 'fence') === 'fence',
  }
}
