import type { StartFrom } from '@sluice/driver'
import type { ConsumerOptions } from '../api.ts'
import { toStartFrom } from '../api.ts'
import { notNegative, positive } from '../producer/settings.ts'

/** A consumer's options with every default filled in. */
export interface ConsumerSettings {
  readonly group: string
  readonly start: StartFrom
  readonly maxBufferedRecords: number
  readonly maxBufferedBytes: number
  readonly maxUncommitted: number
  readonly commitIntervalMs: number
  readonly maxAttempts: number
  readonly backoff: { readonly baseMs: number; readonly maxMs: number }
  /** `undefined`: there is none; messages are retried for ever. */
  readonly deadLetterTopic: string | undefined
  readonly onPoison: 'dead-letter' | 'skip' | 'stop'
  readonly revokeTimeoutMs: number
  /** How long a key must be stuck before its read-ahead is given up for the sake of other keys, in milliseconds. */
  readonly parkAfterMs: number
}

/** The name of a topic's dead-letter topic unless another is asked for. */
function deadLetterTopicOf(topic: string): string {
  return `${topic}.dead-letters`
}

/** Fills in defaults; throws `invalid-argument` for what makes no sense. */
export function consumerSettings<T>(topic: string, options: Omit<ConsumerOptions<T>, 'onSettled'>): ConsumerSettings {
  const retry = options.retry ?? {}
  return {
    group: options.group,
    start: toStartFrom(options.start ?? 'earliest'),
    maxBufferedRecords: positive('maxBufferedRecords', options.maxBufferedRecords, 1_000),
    maxBufferedBytes: positive('maxBufferedBytes', options.maxBufferedBytes, 32 * 1024 * 1024),
    maxUncommitted: positive('maxUncommitted', options.maxUncommitted, 1_000_000),
    commitIntervalMs: notNegative('commitIntervalMs', options.commitIntervalMs, 50),
    maxAttempts: positive('retry.maxAttempts', retry.maxAttempts, 5),
    backoff: {
      baseMs: notNegative('retry.baseMs', retry.baseMs, 100),
      maxMs: notNegative('retry.maxMs', retry.maxMs, 30_000),
    },
    deadLetterTopic: options.deadLetter === false ? undefined : (options.deadLetter?.topic ?? deadLetterTopicOf(topic)),
    onPoison: options.onPoison ?? (options.deadLetter === false ? 'stop' : 'dead-letter'),
    revokeTimeoutMs: notNegative('revokeTimeoutMs', options.revokeTimeoutMs, 10_000),
    parkAfterMs: 1_000,
  }
}
