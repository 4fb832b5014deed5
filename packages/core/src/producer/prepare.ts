import { isDate } from 'node:util/types'
import { didYouMean, StreamError } from '@sluice/driver'
import type { Capabilities, DriverTopic, Headers, OutgoingRecord } from '@sluice/driver'
import type { ReadMessage } from '../api/message.ts'
import type { OutgoingMessage } from '../api/producer.ts'
import { kindOf } from '../values.ts'
import type { ValueFormat } from '../values.ts'

const headerName = /^[a-z0-9][a-z0-9._-]{0,126}$/
const reserved = /^(dlq-|goog|nats-|x-opt-|sluice-)/
const badHeaderValue = /[\r\n\0]|^\s|\s$/
const contentTypeName = 'content-type'
const maxIdLength = 128
const fields: Readonly<Record<keyof OutgoingMessage<unknown>, true>> = {
  value: true,
  key: true,
  headers: true,
  id: true,
  expiresAt: true,
  partition: true,
}
/** What is not looked at, so that a message that was read may be copied and sent. */
const fieldsOfRead: Readonly<Record<Exclude<keyof ReadMessage<unknown>, keyof OutgoingMessage<unknown>>, true>> = {
  topic: true,
  position: true,
  time: true,
  body: true,
  native: true,
}
const fieldNames: ReadonlySet<string> = new Set([...Object.keys(fields), ...Object.keys(fieldsOfRead)])
const noHeaders: Headers = Object.freeze({})

/** What a message is checked against when it is sent. The topic itself need not be open yet. */
export interface PrepareContext<T> {
  readonly topicName: string
  readonly capabilities: Capabilities
  readonly format: ValueFormat<T, unknown>
  readonly newId: () => string
  readonly now: () => number
}

/**
 * Checks and encodes a message; nothing of it is looked at any more afterwards, so that it may be changed. What depends
 * on the topic's limits is `checkLimits`' to check. Throws, or rejects, with `invalid-argument` or `unsupported`; does no
 * I/O. `ownHeaders` (trace context) go past the checks.
 */
export function prepare<T>(
  message: OutgoingMessage<T>,
  context: PrepareContext<T>,
  ownHeaders: Headers | undefined,
): OutgoingRecord | Promise<OutgoingRecord> {
  checkFields(message)
  const { key, partition } = message
  checkKey(key, context)
  checkPartition(partition, context)
  const headers = buildHeaders(message.headers, ownHeaders, context)
  const expiresAtMs = timeOf(message.expiresAt)
  const given = checkId(message.id)
  const id = given ?? context.newId()
  const idIsNew = given === undefined
  const producedAtMs = context.now()
  const body = context.format.encode(message.value, () => `the value for topic "${context.topicName}"`)
  if (!(body instanceof Promise)) return { id, idIsNew, key, headers, body, producedAtMs, expiresAtMs, partition }
  return body.then((checked) => ({ id, idIsNew, key, headers, body: checked, producedAtMs, expiresAtMs, partition }))
}

/**
 * Holds a prepared record to the limits of its topic; gives its size as the backend counts it. Throws `too-large`.
 * Headers that are our own (`own`, and the content type, where it is what the codec says) are not counted.
 */
export function checkLimits(
  record: OutgoingRecord,
  own: Headers | undefined,
  codecType: string,
  topic: DriverTopic,
): number {
  if (record.key !== undefined) checkKeySize(record.key, topic)
  if (record.headers !== noHeaders) checkHeaderSizes(record.headers, own, codecType, topic)
  return sizeOf(record, topic)
}

/** The record with headers of our own (trace context) added; the record itself when there are none. */
export function withHeaders(record: OutgoingRecord, own: Headers | undefined): OutgoingRecord {
  return own === undefined ? record : { ...record, headers: { ...record.headers, ...own } }
}

/** The record's size as the backend counts it. Throws `too-large` when it is over the topic's limit. */
export function sizeOf(record: OutgoingRecord, topic: DriverTopic): number {
  const size = topic.measure(record)
  if (size > topic.limits.maxRecordBytes) {
    throw new StreamError(
      'too-large',
      `a record of ${size} bytes is over the ${topic.limits.maxRecordBytes} that topic "${topic.name}" takes (body ${record.body.length}, the rest is key, headers and envelope); send it in parts or store it elsewhere and send its address`,
      { details: { topic: topic.name, id: record.id, size, limit: topic.limits.maxRecordBytes } },
    )
  }
  return size
}

/**
 * A name that is not known would be a key or headers that are silently not there. So would the copy of a message in a
 * handler's hands (`{ ...message }`): its fields are getters. Objects with a class of their own may have what they like.
 */
function checkFields(message: object): void {
  if (Object.getPrototypeOf(message) !== Object.prototype) return
  for (const name in message) {
    if (fieldNames.has(name)) continue
    throw new StreamError(
      'invalid-argument',
      name === 'record' && 'origin' in message
        ? 'a received message cannot be copied with "..."; name what you pass on: { key: message.key, value: message.value }'
        : `a message to send has no field "${name}"; ${didYouMean(name, Object.keys(fields))}`,
    )
  }
}

function checkKey<T>(key: unknown, { capabilities }: PrepareContext<T>): void {
  if (key === undefined) return
  if (typeof key !== 'string') throw new StreamError('invalid-argument', `a key is a string, not ${kindOf(key)}`)
  if (key === '' && !capabilities.emptyKey) {
    throw new StreamError('unsupported', 'this backend has no empty keys; leave "key" out for a message without order')
  }
  if (!key.isWellFormed())
    throw new StreamError('invalid-argument', 'a key must be well-formed Unicode; it holds a lone surrogate')
}

function checkKeySize(key: string, { limits: { maxKeyBytes }, name }: DriverTopic): void {
  if (key.length * 3 <= maxKeyBytes || Buffer.byteLength(key) <= maxKeyBytes) return
  throw new StreamError(
    'too-large',
    `a key of ${Buffer.byteLength(key)} bytes is over the ${maxKeyBytes} that topic "${name}" takes`,
  )
}

function checkPartition<T>(partition: unknown, { capabilities, topicName }: PrepareContext<T>): void {
  if (partition === undefined) return
  if (!capabilities.explicitPartition) {
    throw new StreamError(
      'unsupported',
      `this backend chooses partitions itself; leave "partition" out (topic "${topicName}")`,
    )
  }
  if (typeof partition !== 'string')
    throw new StreamError('invalid-argument', `a partition is named by a string, not ${kindOf(partition)}`)
}

function timeOf(expiresAt: unknown): number | undefined {
  if (expiresAt === undefined) return undefined
  if (!isDate(expiresAt)) throw new StreamError('invalid-argument', `expiresAt is a Date, not ${kindOf(expiresAt)}`)
  const timeMs = expiresAt.getTime()
  if (Number.isNaN(timeMs)) throw new StreamError('invalid-argument', 'expiresAt is no valid date')
  return timeMs
}

function checkId(id: unknown): string | undefined {
  if (id === undefined) return undefined
  if (typeof id === 'string' && id.length > 0 && id.length <= maxIdLength && /^[\x21-\x7e]+$/.test(id)) return id
  throw new StreamError('invalid-argument', `an id is 1 to ${maxIdLength} printable ASCII characters without spaces`)
}

function buildHeaders<T>(given: unknown, own: Headers | undefined, context: PrepareContext<T>): Headers {
  const contentType = context.format.codec.contentType
  if (given === undefined && own === undefined && contentType === 'application/json') return noHeaders
  const headers: Record<string, string> = contentType === 'application/json' ? {} : { [contentTypeName]: contentType }
  if (given !== undefined) copyChecked(given, headers, context)
  return own === undefined ? headers : { ...headers, ...own }
}

function copyChecked<T>(given: unknown, into: Record<string, string>, context: PrepareContext<T>): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new StreamError('invalid-argument', `headers are an object of names and values, not ${kindOf(given)}`)
  const entries: readonly (readonly [string, unknown])[] = Object.entries(given)
  if (entries.length > 0 && !context.capabilities.headers) {
    throw new StreamError(
      'unsupported',
      `this backend, as it is set up, carries no headers; leave "headers" out (topic "${context.topicName}")`,
    )
  }
  for (const [name, value] of entries) into[name] = checkHeader(name, value)
}

function checkHeader(name: string, value: unknown): string {
  if (!headerName.test(name)) {
    throw new StreamError(
      'invalid-argument',
      `"${name}" is no header name; use a-z, 0-9, dot, dash and underscore, at most 127 characters`,
    )
  }
  if (reserved.test(name)) {
    throw new StreamError(
      'invalid-argument',
      `header "${name}" is reserved (dlq-, goog, nats-, x-opt- and sluice- are); choose another name`,
    )
  }
  if (typeof value === 'string' && !badHeaderValue.test(value) && value.isWellFormed()) return value
  throw new StreamError(
    'invalid-argument',
    `header "${name}" must be a well-formed string without line breaks or outer spaces`,
  )
}

function checkHeaderSizes(
  headers: Headers,
  own: Headers | undefined,
  codecType: string,
  { limits, name: topic }: DriverTopic,
): void {
  const isOurs = (name: string, value: string): boolean =>
    own?.[name] !== undefined || (name === contentTypeName && value === codecType)
  const given = Object.entries(headers).filter(([name, value]) => !isOurs(name, value))
  if (given.length > limits.maxHeaders) {
    throw new StreamError(
      'too-large',
      `${given.length} headers are over the ${limits.maxHeaders} that topic "${topic}" takes`,
    )
  }
  for (const [name, value] of given) {
    if (value.length * 3 <= limits.maxHeaderValueBytes || Buffer.byteLength(value) <= limits.maxHeaderValueBytes)
      continue
    throw new StreamError(
      'too-large',
      `header "${name}" has ${Buffer.byteLength(value)} bytes, over the limit of ${limits.maxHeaderValueBytes}`,
    )
  }
}
