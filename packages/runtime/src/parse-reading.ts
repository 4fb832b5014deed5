import type { ConsumerRetry, Start } from '@sluice/core'
import type { Fields } from './fields.ts'
import type { ReadingPlan } from './pipeline.ts'

/** Reads the keys that functions, sinks and clients share: how they read the topic `from`, and what they do with failures. */
export function readReading(fields: Fields, from: string): ReadingPlan {
  const concurrency = fields.integer('concurrency', 1)
  const start = readStart(fields)
  const onPoison = fields.oneOf('onPoison', ['dead-letter', 'skip', 'stop'])
  const maxBufferedRecords = fields.integer('maxBufferedRecords', 1)
  const retry = readRetry(fields)
  const deadLetter = readDeadLetter(fields, from)
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(start === undefined ? {} : { start }),
    ...(onPoison === undefined ? {} : { onPoison }),
    ...(maxBufferedRecords === undefined ? {} : { maxBufferedRecords }),
    ...(retry === undefined ? {} : { retry }),
    ...(deadLetter === undefined ? {} : { deadLetter }),
  }
}

function readStart(fields: Fields): Start | undefined {
  const value = fields.plain('start')
  if (value === undefined || value === 'earliest' || value === 'latest') return value
  const time = typeof value === 'string' ? new Date(value) : undefined
  if (time !== undefined && !Number.isNaN(time.getTime())) return time
  fields.report('start', '"start" must be earliest, latest or a time such as 2026-01-31T12:00:00Z')
  return undefined
}

function readRetry(fields: Fields): ConsumerRetry | undefined {
  const retry = fields.map('retry')
  if (retry === undefined) return undefined
  const maxAttempts = retry.integer('maxAttempts', 1)
  const baseMs = retry.duration('base')
  const maxMs = retry.duration('max')
  retry.finish()
  return {
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(baseMs === undefined ? {} : { baseMs }),
    ...(maxMs === undefined ? {} : { maxMs }),
  }
}

function readDeadLetter(fields: Fields, from: string): { readonly topic: string } | false | undefined {
  const value = fields.plain('deadLetter')
  if (value === undefined || value === false) return value
  if (typeof value !== 'string' || value === '') {
    fields.report('deadLetter', '"deadLetter" must be the name of a topic, or false to retry for ever')
    return undefined
  }
  if (value !== from) return { topic: value }
  const help = `name another, or leave it out for "${from}.dead-letters"`
  fields.report('deadLetter', `"deadLetter" names topic "${from}", which is the one it reads; ${help}`)
  return undefined
}
