import { createHash } from 'node:crypto'
import { protobufFields, ProtobufWriter, varintLength } from './protobuf.ts'

/*
 * Several records in one record of the stream, as the Kinesis Producer Library writes them:
 *
 *   F3 89 9A C2 | AggregatedRecord | MD5 of the AggregatedRecord
 *
 *   AggregatedRecord  1 repeated string partition_key_table, 2 repeated string explicit_hash_key_table, 3 repeated Record
 *   Record            1 uint64 partition_key_index, 2 optional uint64 explicit_hash_key_index, 3 bytes data, 4 repeated Tag
 *   Tag               1 string key, 2 optional string value
 *
 * Source: https://github.com/awslabs/kinesis-aggregation, AGGREGATION-FORMAT.md. Readers of the KCL drop a whole aggregate as soon as
 * one of its keys lies outside the shard's range, so an aggregate here is of one key alone.
 */
const magic = Buffer.from([0xf3, 0x89, 0x9a, 0xc2])
const digestBytes = 16
/** Of a number below 2^128. */
const hashKeyDigits = 39

/** One record of an aggregate. */
export interface AggregatedRecord {
  readonly partitionKey: string
  readonly explicitHashKey: string | undefined
  readonly data: Uint8Array
  /** Names and values; a tag without a value has the empty one. */
  readonly tags: readonly (readonly [name: string, value: string])[]
}

/** What goes into an aggregate besides the key that all have. */
export type Aggregated = Pick<AggregatedRecord, 'data' | 'tags'>

/** Puts records of one partition key into one. Where a hash key goes before it, readers of the KCL have to know of that too. */
export function aggregate(partitionKey: string, records: readonly Aggregated[], explicitHashKey?: string): Buffer {
  const message = new ProtobufWriter().text(1, partitionKey)
  if (explicitHashKey !== undefined) message.text(2, explicitHashKey)
  for (const record of records) message.bytes(3, encodeOne(record, explicitHashKey !== undefined))
  const body = message.end()
  return Buffer.concat([magic, body, createHash('md5').update(body).digest()])
}

/** The bytes of an aggregate of a key of so many bytes, before any record is in it; with a hash key, at most. */
export function emptyAggregateBytes(keyBytes: number, hasHashKey = false): number {
  return magic.length + digestBytes + fieldBytes(keyBytes) + (hasHashKey ? fieldBytes(hashKeyDigits) : 0)
}

/** The bytes that a record adds to an aggregate. */
export function aggregatedBytes({ data, tags }: Aggregated, hasHashKey = false): number {
  return fieldBytes(recordBytes(data, tags) + (hasHashKey ? 2 : 0))
}

/** Takes an aggregate apart; `undefined`: it is none, or not whole, and so a record as it stands. */
export function disaggregate(data: Buffer): readonly AggregatedRecord[] | undefined {
  if (data.length < magic.length + digestBytes || !data.subarray(0, magic.length).equals(magic)) return undefined
  const body = data.subarray(magic.length, -digestBytes)
  if (!createHash('md5').update(body).digest().equals(data.subarray(-digestBytes))) return undefined
  try {
    return decodeAll(body)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function encodeOne({ data, tags }: Aggregated, hasHashKey: boolean): Buffer {
  const record = new ProtobufWriter().number(1, 0)
  if (hasHashKey) record.number(2, 0)
  record.bytes(3, data)
  for (const [name, value] of tags) record.bytes(4, new ProtobufWriter().text(1, name).text(2, value).end())
  return record.end()
}

function recordBytes(data: Uint8Array, tags: Aggregated['tags']): number {
  let bytes = 2 + fieldBytes(data.length)
  for (const [name, value] of tags)
    bytes += fieldBytes(fieldBytes(Buffer.byteLength(name)) + fieldBytes(Buffer.byteLength(value)))
  return bytes
}

/** Of a field of so many bytes, with its tag and length. */
function fieldBytes(length: number): number {
  return 1 + varintLength(length) + length
}

interface Indexed {
  readonly keyAt: number
  readonly hashKeyAt: number | undefined
  readonly data: Buffer
  readonly tags: readonly (readonly [string, string])[]
}

function decodeAll(body: Buffer): readonly AggregatedRecord[] {
  const keys: string[] = []
  const hashKeys: string[] = []
  const records: Indexed[] = []
  for (const part of protobufFields(body)) {
    if (part.kind !== 'bytes') continue
    if (part.field === 1) keys.push(part.value.toString())
    else if (part.field === 2) hashKeys.push(part.value.toString())
    else if (part.field === 3) records.push(decodeOne(part.value))
  }
  return records.map(({ keyAt, hashKeyAt, data, tags }) => {
    const partitionKey = keys[keyAt]
    const explicitHashKey = hashKeyAt === undefined ? undefined : hashKeys[hashKeyAt]
    if (partitionKey === undefined || (hashKeyAt !== undefined && explicitHashKey === undefined))
      throw new RangeError('a key that is not in the table')
    return { partitionKey, explicitHashKey, data, tags }
  })
}

function decodeOne(message: Buffer): Indexed {
  let keyAt: number | undefined
  let hashKeyAt: number | undefined
  let data: Buffer | undefined
  const tags: (readonly [string, string])[] = []
  for (const part of protobufFields(message)) {
    if (part.kind === 'number' && part.field === 1) keyAt = part.value
    else if (part.kind === 'number' && part.field === 2) hashKeyAt = part.value
    else if (part.kind === 'bytes' && part.field === 3) data = part.value
    else if (part.kind === 'bytes' && part.field === 4) tags.push(decodeTag(part.value))
  }
  if (keyAt === undefined || data === undefined) throw new RangeError('a record without a key or data')
  return { keyAt, hashKeyAt, data, tags }
}

function decodeTag(message: Buffer): readonly [string, string] {
  let [name, value] = ['', '']
  for (const part of protobufFields(message)) {
    if (part.kind !== 'bytes') continue
    if (part.field === 1) name = part.value.toString()
    else if (part.field === 2) value = part.value.toString()
  }
  return [name, value]
}
