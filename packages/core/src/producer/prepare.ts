import { StreamError } from '@sluice/driver'
import type { Capabilities, DriverTopic, Headers, OutgoingRecord } from '@sluice/driver'
import type { OutgoingMessage } from '../api.ts'
import type { ValueFormat } from '../values.ts'

const headerName = /^[a-z0-9][a-z0-9._-]{0,126}$/
const reserved = /^(dlq-|goog|nats-|x-opt-|sluice-)/
const badHeaderValue = /[\r\n\0]|^\s|\s$/
const maxIdLength = 128
const noHeaders: Headers = Object.freeze({})

/** What a message is checked against before any I/O. */
export interface PrepareContext<T> {
  readonly topic: DriverTopic
  readonly capabilities: Capabilities
  readonly format: ValueFormat<T, unknown>
  readonly newId: () => string
  readonly now: () => number
}

/** Checks and encodes a message; its size is `sizeOf`'s to check. Throws, or rejects, with `invalid-argument`, `unsupported` or `too-large`; does no I/O. `ownHeaders` (trace context) go past the checks. */
export function prepare<T>(
  message: OutgoingMessage<T>,
  context: PrepareContext<T>,
  ownHeaders: Headers | undefined,
): OutgoingRecord | Promise<OutgoingRecord> {
  checkKey(message.key, context)
  const headers = buildHeaders(message.headers, ownHeaders, context)
  if (message.partition !== undefined && !context.capabilities.explicitPartition) {
    throw new StreamError(
      'unsupported',
      `this backend chooses partitions itself; leave "partition" out (topic "${context.topic.name}")`,
    )
  }
  if (message.expiresAt !== undefined && Number.isNaN(message.expiresAt.getTime())) {
    throw new StreamError('invalid-argument', 'expiresAt is no valid date')
  }
  const id = checkId(message.id) ?? context.newId()
  const body = context.format.encode(message.value, () => `the value for topic "${context.topic.name}"`)
  if (body instanceof Promise) return body.then((encoded) => assemble(message, id, headers, encoded, context))
  return assemble(message, id, headers, body, context)
}

function assemble<T>(
  message: OutgoingMessage<T>,
  id: string,
  headers: Headers,
  body: Uint8Array,
  context: PrepareContext<T>,
): OutgoingRecord {
  return {
    id,
    key: message.key,
    headers,
    body,
    producedAtMs: context.now(),
    expiresAtMs: message.expiresAt?.getTime(),
    partition: message.partition,
  }
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

function checkKey(
  key: string | undefined,
  context: { readonly topic: DriverTopic; readonly capabilities: Capabilities },
): void {
  if (key === undefined) return
  if (typeof key !== 'string') throw new StreamError('invalid-argument', `a key is a string, not ${typeof key}`)
  if (key === '' && !context.capabilities.emptyKey) {
    throw new StreamError('unsupported', 'this backend has no empty keys; leave "key" out for a message without order')
  }
  const { maxKeyBytes } = context.topic.limits
  if (key.length * 3 > maxKeyBytes && Buffer.byteLength(key) > maxKeyBytes) {
    throw new StreamError(
      'too-large',
      `a key of ${Buffer.byteLength(key)} bytes is over the ${maxKeyBytes} that topic "${context.topic.name}" takes`,
    )
  }
  if (!key.isWellFormed())
    throw new StreamError('invalid-argument', 'a key must be well-formed Unicode; it holds a lone surrogate')
}

function checkId(id: string | undefined): string | undefined {
  if (id === undefined) return undefined
  if (id.length > 0 && id.length <= maxIdLength && /^[\x21-\x7e]+$/.test(id)) return id
  throw new StreamError('invalid-argument', `an id is 1 to ${maxIdLength} printable ASCII characters without spaces`)
}

function buildHeaders<T>(given: Headers | undefined, own: Headers | undefined, context: PrepareContext<T>): Headers {
  const contentType = context.format.codec.contentType
  if (given === undefined && own === undefined && contentType === 'application/json') return noHeaders
  const headers: Record<string, string> = contentType === 'application/json' ? {} : { 'content-type': contentType }
  if (given !== undefined) copyChecked(given, headers, context)
  return own === undefined ? headers : { ...headers, ...own }
}

function copyChecked<T>(given: Headers, into: Record<string, string>, context: PrepareContext<T>): void {
  const { limits, name: topic } = context.topic
  const entries = Object.entries(given)
  if (entries.length > 0 && !context.capabilities.headers) {
    throw new StreamError('unsupported', `this backend carries no headers (topic "${topic}")`)
  }
  if (entries.length > limits.maxHeaders) {
    throw new StreamError(
      'too-large',
      `${entries.length} headers are over the ${limits.maxHeaders} that topic "${topic}" takes`,
    )
  }
  for (const [name, value] of entries) {
    checkHeader(name, value, limits.maxHeaderValueBytes)
    into[name] = value
  }
}

function checkHeader(name: string, value: unknown, maxValueBytes: number): void {
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
  if (typeof value !== 'string' || badHeaderValue.test(value) || !value.isWellFormed()) {
    throw new StreamError(
      'invalid-argument',
      `header "${name}" must be a well-formed string without line breaks or outer spaces`,
    )
  }
  if (value.length * 3 > maxValueBytes && Buffer.byteLength(value) > maxValueBytes) {
    throw new StreamError(
      'too-large',
      `header "${name}" has ${Buffer.byteLength(value)} bytes, over the limit of ${maxValueBytes}`,
    )
  }
}
