import { StreamError } from '@sluice/driver'
import type { StartFrom } from '@sluice/driver'
import type { ConsumerOptions } from '../api/consumer.ts'
import { consumerOptions } from '../option-kinds.ts'
import { checkArgument, checkOptions, kind } from '../options.ts'
import { toStartFrom } from '../start.ts'

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

const groupName = kind('a name; to look without a group, use topic.read()', (value) => value !== undefined)

/** The name of a topic's dead-letter topic unless another is asked for. */
export function deadLetterTopicOf(topic: string): string {
  return `${topic}.dead-letters`
}

/** How often progress is committed. Each commit is a write for each partition; where it stores outputs, they wait for it. */
const usualCommitMs = { progress: 1_000, outputs: 50 }

/**
 * Fills in defaults; throws `invalid-argument` for what makes no sense. `transactional`: outputs are stored with the progress.
 */
export function consumerSettings<T>(
  topic: string,
  options: ConsumerOptions<T>,
  transactional: boolean,
): ConsumerSettings {
  const of = `a consumer of topic "${topic}"`
  checkOptions(of, options, consumerOptions)
  checkArgument(of, 'group', options.group, groupName)
  const retry = options.retry ?? {}
  const deadLetterTopic =
    options.deadLetter === false ? undefined : (options.deadLetter?.topic ?? deadLetterTopicOf(topic))
  if (deadLetterTopic === topic) {
    throw new StreamError(
      'invalid-argument',
      `${of}: deadLetter.topic is the topic itself, which would bring each dead letter back for ever; name another`,
    )
  }
  return {
    group: options.group,
    start: toStartFrom(options.start ?? 'earliest'),
    maxBufferedRecords: options.maxBufferedRecords ?? 1_000,
    maxBufferedBytes: options.maxBufferedBytes ?? 32 * 1024 * 1024,
    maxUncommitted: options.maxUncommitted ?? 1_000_000,
    commitIntervalMs: options.commitIntervalMs ?? usualCommitMs[transactional ? 'outputs' : 'progress'],
    maxAttempts: retry.maxAttempts ?? 5,
    backoff: { baseMs: retry.baseMs ?? 100, maxMs: retry.maxMs ?? 30_000 },
    deadLetterTopic,
    onPoison: options.onPoison ?? (options.deadLetter === false ? 'stop' : 'dead-letter'),
    revokeTimeoutMs: options.revokeTimeoutMs ?? 10_000,
    parkAfterMs: 1_000,
  }
}
