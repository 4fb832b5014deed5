import { StreamError } from '@sluice/driver'
import type { Limits } from '@sluice/driver'
import type { ProducerOptions } from '../api.ts'

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

/** Fills in defaults; throws `invalid-argument` for a number that makes no sense. */
export function producerSettings(options: ProducerOptions, limits: Limits): ProducerSettings {
  const retry = options.retry ?? {}
  return {
    maxBufferedRecords: positive('maxBufferedRecords', options.maxBufferedRecords, 10_000),
    maxBufferedBytes: positive('maxBufferedBytes', options.maxBufferedBytes, 64 * 1024 * 1024),
    maxBatchRecords: Math.min(positive('maxBatchRecords', options.maxBatchRecords, 1_000), limits.maxBatchRecords),
    maxBatchBytes: Math.min(positive('maxBatchBytes', options.maxBatchBytes, 1024 * 1024), limits.maxBatchBytes),
    lingerMs: notNegative('lingerMs', options.lingerMs, 0),
    maxInFlight: positive('maxInFlight', options.maxInFlight, 4),
    requestTimeoutMs: positive('requestTimeoutMs', options.requestTimeoutMs, 30_000),
    maxAttempts: positive('retry.maxAttempts', retry.maxAttempts, Infinity),
    backoff: {
      baseMs: notNegative('retry.baseMs', retry.baseMs, 50),
      maxMs: notNegative('retry.maxMs', retry.maxMs, 5_000),
    },
    maxElapsedMs: notNegative('retry.maxElapsedMs', retry.maxElapsedMs, 120_000),
    fence: (options.onOrderedFailure ?? 'fence') === 'fence',
  }
}

/** The value, or its default; throws unless it is above zero. */
export function positive(name: string, value: number | undefined, byDefault: number): number {
  if (value === undefined) return byDefault
  if (value > 0) return value
  throw new StreamError('invalid-argument', `${name} must be above 0, not ${value}`)
}

/** The value, or its default; throws when it is below zero. */
export function notNegative(name: string, value: number | undefined, byDefault: number): number {
  if (value === undefined) return byDefault
  if (value >= 0) return value
  throw new StreamError('invalid-argument', `${name} must be 0 or more, not ${value}`)
}
