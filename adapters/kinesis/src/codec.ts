import { Buffer } from 'node:buffer'
import { createHash, randomUUID } from 'node:crypto'
import { parseExpiry } from '@sluice/driver'
import type { Headers, OutgoingRecord } from '@sluice/driver'
import {
  aggregate,
  aggregatedBytes,
  bareBytes,
  disaggregate,
  emptyAggregateBytes,
  pieceOf,
  tagBytes,
} from './aggregate.ts'
import type { AggregatedRecord, Piece } from './aggregate.ts'
import { decodeEvent, encodeEvent } from './cloud-event.ts'
import type { Encoding } from './config.ts'
import { textBytes } from './protobuf.ts'

/*
 * A record of the stream is a partition key and bytes, no more. With `kpl` these bytes are an aggregate (see aggregate.ts)
 * of one record or several of one key, and what a record has besides its body stands in its tags:
 *
 *   sluice-id           the id
 *   sluice-key          the key, where the partition key is not the key: it is empty
 *   sluice-no-key       the record has no key; its partition key was drawn
 *   sluice-expires-at   milliseconds since 1970
 *
 * and the caller's headers under their own names. Readers of the KCL hand out the bodies and pass the tags over.
 */
const idTag = 'sluice-id'
const keyTag = 'sluice-key'
const noKeyTag = 'sluice-no-key'
const expiresTag = 'sluice-expires-at'

/** The partition key of the empty key, which the service does not take. */
const emptyKeyStandIn = 'sluice:empty'
/** As long as those that are drawn. */
const drawnKeyBytes = 36

/** The partition key of a record; one without a key gets one of its own. */
export function partitionKeyOf(key: string | undefined): string {
  if (key === undefined) return randomUUID()
  return key === '' ? emptyKeyStandIn : key
}

/** Writes a record as it goes into an aggregate. */
export function toPiece(record: OutgoingRecord): Piece {
  const tags: (readonly [string, string])[] = [[idTag, record.id]]
  if (record.key === undefined) tags.push([noKeyTag, ''])
  else if (record.key === '') tags.push([keyTag, ''])
  if (record.expiresAtMs !== undefined) tags.push([expiresTag, String(record.expiresAtMs)])
  for (const name in record.headers) tags.push([name, record.headers[name] ?? ''])
  return pieceOf(record.body, tags)
}

/** The bytes of its piece. Every send is measured, so nothing is made for it. */
function pieceBytes({ body, expiresAtMs, headers, id, key }: OutgoingRecord): number {
  let bytes = bareBytes(body.length) + tagBytes(idTag, id)
  if (key === undefined) bytes += tagBytes(noKeyTag, '')
  else if (key === '') bytes += tagBytes(keyTag, '')
  if (expiresAtMs !== undefined) bytes += tagBytes(expiresTag, String(expiresAtMs))
  for (const name in headers) bytes += tagBytes(name, headers[name] ?? '')
  return bytes
}

/** What nobody misses who knows the topic, and what core adds by itself. */
const ownHeaders: ReadonlySet<string> = new Set(['content-type', 'traceparent', 'tracestate'])

/**
 * Whether a record is its body alone. What more there is to say of dead letters, and when a record expires, needs an envelope;
 * and so does a body that is an aggregate, which readers would take apart.
 */
function isBare({ headers, expiresAtMs, body }: OutgoingRecord): boolean {
  if (expiresAtMs !== undefined) return false
  for (const name in headers) if (!ownHeaders.has(name)) return false
  // Of a body that does not begin like an aggregate, nothing more is looked at.
  return disaggregate(bufferOf(body)) === undefined
}

/** Writes a record as a record of the stream, alone. */
export function encodeRecord(
  encoding: Encoding,
  partitionKey: string,
  record: OutgoingRecord,
  explicitHashKey?: string,
): Buffer {
  switch (encoding) {
    case 'kpl':
      return aggregate(partitionKey, [toPiece(record)], explicitHashKey)
    case 'raw':
      return isBare(record) ? bufferOf(record.body) : encodeRecord('kpl', partitionKey, record, explicitHashKey)
    case 'cloudevents-json':
      return encodeEvent(record)
  }
}

/** Bytes that the record takes alone, as the service counts them: the data and the partition key. */
export function measureRecord(encoding: Encoding, record: OutgoingRecord): number {
  const key = record.key === undefined ? undefined : partitionKeyOf(record.key)
  const keyBytes = key === undefined ? drawnKeyBytes : textBytes(key)
  const hasHashKey = record.partition !== undefined
  switch (encoding) {
    case 'kpl':
      return keyBytes + emptyAggregateBytes(keyBytes, hasHashKey) + aggregatedBytes(pieceBytes(record), hasHashKey)
    case 'raw':
      return isBare(record) ? keyBytes + record.body.length : measureRecord('kpl', record)
    case 'cloudevents-json':
      return keyBytes + encodeEvent(record).length
  }
}

/** A record that was read, before it is known where it stands. */
export interface DecodedRecord {
  /** `undefined`: another program wrote it. */
  readonly id: string | undefined
  readonly key: string | undefined
  readonly headers: Headers
  readonly expiresAtMs: number | undefined
  readonly body: Uint8Array
}

/**
 * The records in a record of the stream: those of an aggregate, that of a CloudEvent, or the data as it stands, also where it
 * only begins like an aggregate. With `raw`, an event is data. Never throws.
 */
export function decodeRecords(
  encoding: Encoding,
  partitionKey: string | undefined,
  data: Uint8Array,
): readonly DecodedRecord[] {
  const bytes = bufferOf(data)
  const aggregated = disaggregate(bytes)
  if (aggregated !== undefined) return aggregated.map(fromAggregated)
  const event = encoding === 'raw' ? undefined : decodeEvent(bytes, partitionKey)
  if (event !== undefined) return [event]
  return [{ id: undefined, key: partitionKey, headers: noHeaders, expiresAtMs: undefined, body: data }]
}

const noHeaders: Headers = Object.freeze({})

function fromAggregated({ partitionKey, data, tags }: AggregatedRecord): DecodedRecord {
  let id: string | undefined
  let key: string | undefined = partitionKey
  let expiresAtMs: number | undefined
  let headers: Record<string, string> | undefined
  for (const [name, value] of tags) {
    if (name === idTag) id = value === '' ? undefined : value
    else if (name === keyTag) key = value
    else if (name === noKeyTag) key = undefined
    else if (name === expiresTag) expiresAtMs = parseExpiry(value)
    else (headers ??= {})[name] = value
  }
  return { id, key, headers: headers ?? noHeaders, expiresAtMs, body: data }
}

/** Where the service puts a partition key: its MD5, as a number. */
export function hashOf(partitionKey: string): bigint {
  return BigInt(`0x${createHash('md5').update(partitionKey).digest('hex')}`)
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
