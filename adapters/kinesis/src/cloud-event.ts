import { isUtf8 } from 'node:buffer'
import type { Headers, OutgoingRecord } from '@sluice/driver'
import { memberText } from './json-member.ts'

/*
 * A record as a CloudEvent in JSON (structured mode), for readers that know neither Sluice nor the KPL.
 * Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 *
 * Names of extension attributes are letters and digits alone, so headers stand together in one, as JSON.
 */
const source = 'sluice'
const type = 'sluice.record'
/** What a body is of which no header says it: core leaves it out. */
const usualType = 'application/json'
/** As section 3.1 has it: the subtype is `json`, or ends with `+json`. */
const jsonType = /^[^\s/;]+\/(?:[^\s;]+\+)?json\s*(?:;|$)/i

/** What a record says besides its body. */
export interface EventContent {
  readonly id: string
  readonly key: string | undefined
  readonly headers: Headers
  readonly expiresAtMs: number | undefined
  readonly body: Uint8Array
}

/** The record as a CloudEvent: its value as it is where it is JSON that no reader changes, else in base64. */
export function encodeEvent(record: OutgoingRecord): Buffer {
  const { 'content-type': given, traceparent, tracestate, ...others } = record.headers
  const body = Buffer.from(record.body.buffer, record.body.byteOffset, record.body.length)
  const json = given === undefined || jsonType.test(given) ? jsonOf(body) : undefined
  const contentType = given ?? (json === undefined ? undefined : usualType)
  // The usual type is not among the headers of a record that is read, unless it was there.
  const headers = given === usualType ? { ...others, 'content-type': given } : others
  const event = {
    specversion: '1.0',
    id: record.id,
    source,
    type,
    time: new Date(record.producedAtMs).toISOString(),
    ...(contentType === undefined ? {} : { datacontenttype: contentType }),
    ...(record.key === undefined ? {} : { partitionkey: record.key }),
    ...(record.expiresAtMs === undefined ? {} : { expirytime: new Date(record.expiresAtMs).toISOString() }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(tracestate === undefined ? {} : { tracestate }),
    ...(Object.keys(headers).length === 0 ? {} : { sluiceheaders: JSON.stringify(headers) }),
  }
  const envelope = JSON.stringify(event).slice(0, -1)
  const data = json?.isPlain === true ? `"data":${json.text}` : `"data_base64":"${body.toString('base64')}"`
  return Buffer.from(`${envelope},${data}}`)
}

/**
 * Reads a CloudEvent of whomever; `undefined`: it is none. An event of another program that does not name its key has the
 * partition key that it was written with.
 */
export function decodeEvent(data: Buffer, partitionKey: string | undefined): EventContent | undefined {
  // An object, after white space at most. Most that are none say so here, and are not parsed for it.
  if (data[0] !== 0x7b && data.subarray(0, 16).toString('latin1').trimStart()[0] !== '{') return undefined
  if (!data.includes('"specversion"')) return undefined
  const event = parsed(data)
  const { specversion, id, source: from, type: kind } = event ?? {}
  if (event === undefined || typeof specversion !== 'string' || typeof id !== 'string') return undefined
  if (typeof from !== 'string' || typeof kind !== 'string') return undefined
  const body = bodyOf(event, data)
  if (body === undefined) return undefined
  const isOurs = from === source && kind === type
  const expiresAtMs = typeof event['expirytime'] === 'string' ? Date.parse(event['expirytime']) : Number.NaN
  return {
    id,
    key: typeof event['partitionkey'] === 'string' ? event['partitionkey'] : isOurs ? undefined : partitionKey,
    headers: isOurs ? ourHeaders(event) : theirHeaders(event),
    expiresAtMs: Number.isNaN(expiresAtMs) ? undefined : expiresAtMs,
    body,
  }
}

function parsed(data: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(data.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined
  } catch {
    // What only looks like an object is a record as it stands.
    return undefined
  }
}

/** The body where it is JSON; `isPlain`: it is the very text that readers will make of it again, of others digits could be lost. */
function jsonOf(body: Buffer): { readonly text: string; readonly isPlain: boolean } | undefined {
  if (!isUtf8(body)) return undefined
  try {
    const text = body.toString()
    return { text, isPlain: JSON.stringify(JSON.parse(text)) === text }
  } catch {
    // A codec may call its bytes JSON and not mean it.
    return undefined
  }
}

/** What the event is about. A value is cut out of the event's text: parsed and written anew it would lose digits and its order. */
function bodyOf(event: Readonly<Record<string, unknown>>, text: Buffer): Uint8Array | undefined {
  const { data, data_base64: base64, datacontenttype } = event
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64')
  if (base64 !== undefined && base64 !== null) return undefined
  if (data === undefined) return new Uint8Array(0)
  const isText = typeof data === 'string' && typeof datacontenttype === 'string' && !jsonType.test(datacontenttype)
  return isText ? Buffer.from(data) : memberText(text, 'data')
}

function ourHeaders(event: Readonly<Record<string, unknown>>): Headers {
  const { datacontenttype, sluiceheaders: more } = event
  const headers = contextHeaders(datacontenttype === usualType ? { ...event, datacontenttype: undefined } : event)
  if (typeof more !== 'string') return headers
  const values = parsed(Buffer.from(more)) ?? {}
  for (const [name, value] of Object.entries(values)) if (typeof value === 'string') headers[name] = value
  return headers
}

/** The attributes of an event that another program wrote, under the names that they have elsewhere: `ce-type`. */
function theirHeaders(event: Readonly<Record<string, unknown>>): Headers {
  const headers = contextHeaders(event)
  for (const [name, value] of Object.entries(event)) {
    if (known.has(name) || !['string', 'number', 'boolean'].includes(typeof value)) continue
    headers[`ce-${name}`] = String(value)
  }
  return headers
}

const known: ReadonlySet<string> = new Set([
  'data',
  'data_base64',
  'datacontenttype',
  'partitionkey',
  'expirytime',
  'traceparent',
  'tracestate',
])

function contextHeaders(event: Readonly<Record<string, unknown>>): Record<string, string> {
  const headers: Record<string, string> = {}
  if (typeof event['datacontenttype'] === 'string') headers['content-type'] = event['datacontenttype']
  for (const name of ['traceparent', 'tracestate']) {
    const value = event[name]
    if (typeof value === 'string') headers[name] = value
  }
  return headers
}
