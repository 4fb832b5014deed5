import { hash } from 'node:crypto'
import type { Allocate } from './memory.ts'
import { fieldBytes, ProtobufReader, ProtobufWriter, textBytes } from './protobuf.ts'

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
/** Of the place in a table of keys, where it is the first. */
const keyAtBytes = 2
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
export interface Piece extends Pick<AggregatedRecord, 'data' | 'tags'> {
  /** That it takes there, its length not among them, where all are without a hash key. */
  readonly bytes: number
}

/** Makes a piece; it is measured here. */
export function pieceOf(data: Uint8Array, tags: Piece['tags']): Piece {
  let bytes = bareBytes(data.length)
  for (const [name, value] of tags) bytes += tagBytes(name, value)
  return { data, tags, bytes }
}

/** The bytes of a piece with so many of data and no tags. */
export function bareBytes(length: number): number {
  // The place of the key in its table is 0.
  return keyAtBytes + fieldBytes(length)
}

/** The bytes that a tag adds to a piece. */
export function tagBytes(name: string, value: string): number {
  return fieldBytes(tagLength(name, value))
}

/** Puts records of one partition key into one. Where a hash key goes before it, readers of the KCL have to know of that too. */
export function aggregate(
  partitionKey: string,
  pieces: readonly Piece[],
  explicitHashKey?: string,
  allocate: Allocate = Buffer.allocUnsafe,
): Buffer {
  const hasHashKey = explicitHashKey !== undefined
  let bytes = emptyAggregateBytes(textBytes(partitionKey)) + (hasHashKey ? fieldBytes(explicitHashKey.length) : 0)
  for (const piece of pieces) bytes += aggregatedBytes(piece.bytes, hasHashKey)
  const aggregate = allocate(bytes)
  aggregate.set(magic)
  const writer = new ProtobufWriter(aggregate, magic.length)
  writer.text(1, partitionKey)
  if (hasHashKey) writer.text(2, explicitHashKey)
  for (const piece of pieces) writePiece(writer, piece, hasHashKey)
  aggregate.set(digestOf(aggregate.subarray(magic.length, writer.at)), writer.at)
  return aggregate
}

/** The bytes of an aggregate of a key of so many bytes, before any record is in it; with a hash key, at most. */
export function emptyAggregateBytes(keyBytes: number, hasHashKey = false): number {
  return magic.length + digestBytes + fieldBytes(keyBytes) + (hasHashKey ? fieldBytes(hashKeyDigits) : 0)
}

/** The bytes that a piece of so many adds to an aggregate. */
export function aggregatedBytes(bytes: Piece['bytes'], hasHashKey = false): number {
  return fieldBytes(hasHashKey ? bytes + keyAtBytes : bytes)
}

/** Takes an aggregate apart; `undefined`: it is none, or not whole, and so a record as it stands. */
export function disaggregate(data: Buffer): readonly AggregatedRecord[] | undefined {
  const end = data.length - digestBytes
  if (end < magic.length || data.compare(magic, 0, magic.length, 0, magic.length) !== 0) return undefined
  const body = data.subarray(magic.length, end)
  if (data.compare(digestOf(body), 0, digestBytes, end) !== 0) return undefined
  try {
    return decodeAll(body)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function digestOf(body: Buffer): Buffer {
  return hash('md5', body, 'buffer')
}

function writePiece(writer: ProtobufWriter, { data, tags, bytes }: Piece, hasHashKey: boolean): void {
  writer.begin(3, hasHashKey ? bytes + keyAtBytes : bytes)
  writer.number(1, 0)
  if (hasHashKey) writer.number(2, 0)
  writer.bytes(3, data)
  for (const [name, value] of tags) {
    writer.begin(4, tagLength(name, value))
    writer.text(1, name)
    writer.text(2, value)
  }
}

function tagLength(name: string, value: string): number {
  return fieldBytes(textBytes(name)) + fieldBytes(textBytes(value))
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
  const reader = new ProtobufReader(body)
  while (reader.next()) {
    const { field, kind } = reader
    if (kind !== 'bytes') continue
    if (field === 1) keys.push(reader.text)
    else if (field === 2) hashKeys.push(reader.text)
    else if (field === 3) records.push(decodeOne(reader.message))
  }
  return records.map(({ keyAt, hashKeyAt, data, tags }) => {
    const partitionKey = keys[keyAt]
    const explicitHashKey = hashKeyAt === undefined ? undefined : hashKeys[hashKeyAt]
    if (partitionKey === undefined || (hashKeyAt !== undefined && explicitHashKey === undefined))
      throw new RangeError('a key that is not in the table')
    return { partitionKey, explicitHashKey, data, tags }
  })
}

function decodeOne(reader: ProtobufReader): Indexed {
  let keyAt: number | undefined
  let hashKeyAt: number | undefined
  let data: Buffer | undefined
  const tags: (readonly [string, string])[] = []
  while (reader.next()) {
    const { field, kind } = reader
    if (kind === 'number' && field === 1) keyAt = reader.number
    else if (kind === 'number' && field === 2) hashKeyAt = reader.number
    else if (kind === 'bytes' && field === 3) data = reader.bytes
    else if (kind === 'bytes' && field === 4) tags.push(decodeTag(reader.message))
  }
  if (keyAt === undefined || data === undefined) throw new RangeError('a record without a key or data')
  return { keyAt, hashKeyAt, data, tags }
}

function decodeTag(reader: ProtobufReader): readonly [string, string] {
  let [name, value] = ['', '']
  while (reader.next()) {
    const { field, kind } = reader
    if (kind !== 'bytes') continue
    if (field === 1) name = reader.text
    else if (field === 2) value = reader.text
  }
  return [name, value]
}
