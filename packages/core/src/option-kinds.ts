import type { TopicSpec } from '@sluice/driver'
import type { CloseOptions } from './api/cloud.ts'
import type { BatchOptions, ConsumerOptions, ConsumerRetry, DeadLetterOptions, RunOptions } from './api/consumer.ts'
import type { ProducerOptions, RetryOptions, SendOptions } from './api/producer.ts'
import type { RateLimit, ReadOptions, TopicOptions } from './api/topic.ts'
import type { WorkerOptions } from './api/worker.ts'
import type { SluiceFunction } from './function.ts'
import {
  amount,
  checkOptions,
  count,
  duration,
  flag,
  func,
  hasMethods,
  having,
  kind,
  name,
  object,
  oneOf,
  signal,
} from './options.ts'
import type { Kind, Kinds } from './options.ts'
import { checkStart } from './start.ts'

/** How long a close may take, checked, in milliseconds. */
export function closeTimeoutMs(options: CloseOptions = {}): number {
  checkOptions<CloseOptions>('close', options, { timeoutMs: duration })
  return options.timeoutMs ?? 30_000
}

/** Options of one send. */
export const sendOptions: Kinds<SendOptions> = { signal }

const retryOptions: Kinds<RetryOptions> = {
  maxAttempts: count,
  baseMs: duration,
  maxMs: duration,
  maxElapsedMs: duration,
}

/** See {@link ProducerOptions}. */
export const producerOptions: Kinds<ProducerOptions> = {
  maxBufferedRecords: count,
  maxBufferedBytes: amount,
  maxBatchRecords: count,
  maxBatchBytes: amount,
  lingerMs: duration,
  maxInFlight: count,
  requestTimeoutMs: kind('a number of milliseconds above 0', (value) => typeof value === 'number' && value > 0),
  retry: object(retryOptions),
  onOrderedFailure: oneOf('fence', 'continue'),
}

const deadLetterTopic = object<DeadLetterOptions>({ topic: name })
const consumerRetry: Kinds<ConsumerRetry> = { maxAttempts: count, baseMs: duration, maxMs: duration }

/** See {@link ConsumerOptions}. */
export const consumerOptions: Kinds<ConsumerOptions<unknown>> = {
  group: name,
  member: name,
  start: checkStart,
  maxBufferedRecords: count,
  maxBufferedBytes: amount,
  maxUncommitted: count,
  commitIntervalMs: duration,
  retry: object(consumerRetry),
  deadLetter: (value, ...where) => {
    if (value !== false) deadLetterKind(value, ...where)
  },
  onPoison: oneOf('dead-letter', 'skip', 'stop'),
  revokeTimeoutMs: duration,
  onSettled: func,
}

function deadLetterKind(...given: Parameters<Kind>): void {
  kind('false or { topic }', (value) => typeof value === 'object')(...given)
  deadLetterTopic(...given)
}

const { onSettled: _, ...workerReading } = consumerOptions

/** See {@link WorkerOptions}. */
export const workerOptions: Kinds<WorkerOptions> = {
  ...workerReading,
  from: name,
  to: name,
  concurrency: count,
  delivery: oneOf('exactly-once', 'at-least-once'),
}

const batchOptions: Kinds<BatchOptions> = { max: count, waitMs: duration }

/** See {@link RunOptions}, with those of a batch. */
export const runOptions: Kinds<RunOptions & { readonly batch: BatchOptions }> = {
  concurrency: count,
  signal,
  batch: (value, path, of) => {
    checkOptions(of, value, batchOptions, path)
    count((value as Partial<BatchOptions>).max, `${path}.max`, of)
  },
}

/** See {@link ReadOptions}. */
export const readOptions: Kinds<ReadOptions> = { from: checkStart, follow: flag, signal }

/** How a topic should be. */
export const topicSpec: Kinds<TopicSpec> = {
  partitions: kind('a whole number, 1 or more', (value) => Number.isInteger(value) && Number(value) >= 1),
  order: oneOf('key', 'none'),
  retentionMs: duration,
  retentionBytes: kind('a number of bytes, 0 or more', (value) => typeof value === 'number' && value >= 0),
}

const rateLimit: Kinds<RateLimit> = { messagesPerSecond: amount, bytesPerSecond: amount }

/** What turns values into bytes and back. */
export const codec: Kind = kind(
  'a codec: { contentType, encode, decode }',
  (value) =>
    hasMethods(value, ['encode', 'decode']) && typeof (value as { contentType?: unknown }).contentType === 'string',
)

/** What checks values. Schemas of arktype are functions. */
const schema: Kind = kind('a Standard Schema, with "~standard".validate (zod, valibot, arktype)', (value) =>
  hasMethods((value as { '~standard'?: unknown } | null)?.['~standard'], ['validate']),
)

/** See {@link SluiceFunction}. */
export const functionParts: Kinds<SluiceFunction<unknown, unknown>> = {
  name,
  input: schema,
  output: schema,
  handle: func,
}

/** See {@link TopicOptions}. */
export const topicOptions: Kinds<TopicOptions<unknown>> = {
  ...topicSpec,
  schema,
  codec,
  create: flag,
  rateLimit: object(rateLimit),
}

/** Where log lines go. */
export const logger: Kind = having('debug', 'info', 'warn', 'error')
/** Time. */
export const clock: Kind = having('now', 'monotonic', 'after')
/** Where leases are kept. */
export const leaseStore: Kind = having('list', 'create', 'replace', 'remove')
/** An opened driver. */
export const driver: Kind = having('openTopic', 'close')
