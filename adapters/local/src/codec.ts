import { crc32 } from 'node:zlib'
import { StreamError } from '@sluice/driver'
import type { Headers, OutgoingRecord } from '@sluice/driver'

/*
 * A batch, as stored in one row. Numbers are little-endian.
 *
 *   0  u32  CRC-32 of everything behind it
 *   4  u8   format version
 *   5  u8   0, u16 0
 *   8  u32  number of records, then the records, each:
 *
 *   0  u32  length of the record, this field included
 *   4  u16  length of the id
 *   6  u16  length of the key; 0xffff: no key
 *   8  u32  length of the headers
 *  12  u8   flags: 1 expires, 2 id and key are ASCII
 *      f64  expiry, milliseconds since 1970, with flag 1
 *      id, key, headers (for each: u16 length of the name, u32 length of the value, name, value), body
 */
const formatVersion = 1
const batchHeaderBytes = 12
const recordHeaderBytes = 13
const noKey = 0xffff
const expires = 1
const ascii = 2

/** Where the next batch goes, and what it is made of. */
export interface EncodedBatch {
  /** Of the batch in {@link EncodedRequest.buffer}. */
  readonly offset: number
  readonly length: number
  /** Of the ids' hashes in the buffer: 8 bytes for each record. */
  readonly idsOffset: number
  readonly count: number
}

/** Several batches in one buffer that can be transferred to another thread. */
export interface EncodedRequest {
  readonly buffer: ArrayBuffer
  readonly batches: readonly EncodedBatch[]
  /** Whether two ids may be equal: they have equal hashes. */
  readonly mayRepeat: boolean
}

/** Bytes of the record as stored. */
export function measureRecord(record: OutgoingRecord): number {
  let size = recordHeaderBytes + Buffer.byteLength(record.id) + record.body.length
  if (record.key !== undefined) size += Buffer.byteLength(record.key)
  if (record.expiresAtMs !== undefined) size += 8
  const headers = record.headers
  for (const name in headers) size += 6 + Buffer.byteLength(name) + Buffer.byteLength(headers[name] ?? '')
  return size
}

/** An upper bound of {@link measureRecord} that needs no look at the text. */
function boundRecord(record: OutgoingRecord): number {
  let characters = record.id.length + (record.key?.length ?? 0)
  let size = recordHeaderBytes + 8 + record.body.length
  const headers = record.headers
  for (const name in headers) {
    characters += name.length + (headers[name] ?? '').length
    size += 6
  }
  return size + characters * 3
}

/** Encodes each group of records as one batch, into a buffer of at least the size that `allocate` is asked for. */
export function encodeBatches(
  groups: readonly (readonly OutgoingRecord[])[],
  allocate: (bytes: number) => ArrayBuffer = (bytes) => new ArrayBuffer(bytes),
): EncodedRequest {
  let idBytes = 0
  let bound = 0
  for (const group of groups) {
    idBytes += group.length * 8
    bound += batchHeaderBytes
    for (const record of group) bound += boundRecord(record)
  }
  const buffer = allocate(idBytes + bound)
  const target = Buffer.from(buffer)
  const hashes = new Uint32Array(buffer, 0, idBytes / 4)
  const batches: EncodedBatch[] = []
  let idsOffset = 0
  let offset = idBytes
  for (const group of groups) {
    const end = encodeBatch(target, offset, group, hashes, idsOffset / 4)
    batches.push({ offset, length: end - offset, idsOffset, count: group.length })
    idsOffset += group.length * 8
    offset = end
  }
  return { buffer, batches, mayRepeat: mayRepeat(hashes) }
}

/** Looks for equal hashes with a table of their low halves. */
function mayRepeat(hashes: Uint32Array): boolean {
  const count = hashes.length / 2
  if (count < 2) return false
  const mask = 2 ** Math.ceil(Math.log2(count * 2)) - 1
  const table = new Uint16Array(mask + 1)
  for (let index = 0; index < count; index++) {
    const high = hashes[index * 2]
    const low = hashes[index * 2 + 1] ?? 0
    let slot = low & mask
    for (let other = table[slot] ?? 0; other !== 0; other = table[slot] ?? 0) {
      if (hashes[other * 2 - 2] === high && hashes[other * 2 - 1] === low) return true
      slot = (slot + 1) & mask
    }
    table[slot] = index + 1
  }
  return false
}

function encodeBatch(
  target: Buffer,
  start: number,
  records: readonly OutgoingRecord[],
  hashes: Uint32Array,
  firstHash: number,
): number {
  target.writeUInt32LE(formatVersion, start + 4)
  target.writeUInt32LE(records.length, start + 8)
  let at = start + batchHeaderBytes
  let hashAt = firstHash
  for (const record of records) {
    at = encodeRecord(target, at, record)
    hashId(record.id, hashes, hashAt)
    hashAt += 2
  }
  target.writeUInt32LE(crc32(target.subarray(start + 4, at)), start)
  return at
}

function encodeRecord(target: Buffer, start: number, record: OutgoingRecord): number {
  const { id, key, body, expiresAtMs } = record
  let flags = 0
  let at = start + recordHeaderBytes
  if (expiresAtMs !== undefined) {
    flags |= expires
    at = target.writeDoubleLE(expiresAtMs, at)
  }
  const idBytes = writeText(target, id, at)
  at += idBytes
  let keyBytes = noKey
  if (key !== undefined) {
    keyBytes = writeText(target, key, at)
    at += keyBytes
  }
  if (idBytes === id.length && (key === undefined || keyBytes === key.length)) flags |= ascii
  const headersStart = at
  at = encodeHeaders(target, at, record.headers)
  const bodyStart = at
  target.set(body, at)
  at += body.length
  target.writeUInt32LE(at - start, start)
  target.writeUInt16LE(idBytes, start + 4)
  target.writeUInt16LE(keyBytes, start + 6)
  target.writeUInt32LE(bodyStart - headersStart, start + 8)
  target[start + 12] = flags
  return at
}

function encodeHeaders(target: Buffer, start: number, headers: Headers): number {
  let at = start
  for (const name in headers) {
    const nameBytes = writeText(target, name, at + 6)
    const valueBytes = writeText(target, headers[name] ?? '', at + 6 + nameBytes)
    target.writeUInt16LE(nameBytes, at)
    target.writeUInt32LE(valueBytes, at + 2)
    at += 6 + nameBytes + valueBytes
  }
  return at
}

/** Writes UTF-8 and says how many bytes it took. Short ASCII text is the rule and needs no call into C++. */
function writeText(target: Buffer, text: string, at: number): number {
  const length = text.length
  if (length > 48) return target.write(text, at, 'utf8')
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return target.write(text, at, 'utf8')
    target[at + i] = unit
  }
  return length
}

/** Puts a 64-bit hash of the id at `hashes[at]` and the next. */
export function hashId(id: string, hashes: Uint32Array, at: number): void {
  let high = 0x9747b28c
  let low = 0x3c6ef372
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i)
    high = Math.imul(high ^ unit, 0x5bd1e995)
    high ^= high >>> 15
    low = Math.imul(low ^ unit, 0x01000193)
  }
  low = Math.imul(low ^ (low >>> 16), 0x85ebca6b)
  low ^= low >>> 13
  hashes[at] = high
  hashes[at + 1] = low
}

/** A record as it came out of a batch. `end` is the offset of the byte behind it. */
export interface StoredRecord {
  readonly id: string
  readonly key: string | undefined
  readonly headers: Headers
  readonly body: Uint8Array
  readonly expiresAtMs: number | undefined
}

const noHeaders: Headers = Object.freeze({})

/** Walks the records of one batch, or of a run of records cut out of one. Decodes only what is asked for. */
export class RecordReader {
  readonly #bytes: Buffer
  readonly #where: string
  #at: number
  #lastHeaders: Headers = noHeaders
  #lastStart = 0
  #lastLength = 0

  /** `where` names the batch for messages. */
  constructor(bytes: Uint8Array, start: number, where: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = start
    this.#where = where
  }

  /** Whether every record was read. */
  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Where the next record begins. */
  get at(): number {
    return this.#at
  }

  /** Bytes of the records that were not read yet. */
  get bytesLeft(): number {
    return this.#bytes.length - this.#at
  }

  /** Bytes of the next record. */
  peekLength(): number {
    if (this.#at + recordHeaderBytes > this.#bytes.length) throw this.#corrupt()
    const length = this.#bytes.readUInt32LE(this.#at)
    if (length < recordHeaderBytes || this.#at + length > this.#bytes.length) throw this.#corrupt()
    return length
  }

  /** Passes over `count` records. */
  skip(count: number): void {
    for (let i = 0; i < count; i++) this.#at += this.peekLength()
  }

  /** The id of the next record, without moving on. */
  peekId(): string {
    const start = this.#at + recordHeaderBytes + ((this.#flags() & expires) === 0 ? 0 : 8)
    return this.#bytes.toString('utf8', start, start + this.#bytes.readUInt16LE(this.#at + 4))
  }

  /** The next record. Its body is a view of the batch. */
  next(): StoredRecord {
    const bytes = this.#bytes
    const start = this.#at
    const end = start + this.peekLength()
    const idBytes = bytes.readUInt16LE(start + 4)
    const keyBytes = bytes.readUInt16LE(start + 6)
    const headerBytes = bytes.readUInt32LE(start + 8)
    const flags = this.#flags()
    let at = start + recordHeaderBytes
    let expiresAtMs: number | undefined
    if ((flags & expires) !== 0) {
      expiresAtMs = bytes.readDoubleLE(at)
      at += 8
    }
    const textEnd = at + idBytes + (keyBytes === noKey ? 0 : keyBytes)
    let id: string
    let key: string | undefined
    if ((flags & ascii) === 0) {
      id = bytes.toString('utf8', at, at + idBytes)
      if (keyBytes !== noKey) key = bytes.toString('utf8', at + idBytes, textEnd)
    } else {
      // Both at once: the call costs more than the text.
      const text = bytes.toString('latin1', at, textEnd)
      id = text.slice(0, idBytes)
      if (keyBytes !== noKey) key = text.slice(idBytes)
    }
    at = textEnd
    if (at + headerBytes > end) throw this.#corrupt()
    const headers = headerBytes === 0 ? noHeaders : this.#headers(at, headerBytes)
    at += headerBytes
    this.#at = end
    const body = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset + at, end - at)
    return { id, key, headers, body, expiresAtMs }
  }

  #flags(): number {
    return this.#bytes[this.#at + 12] ?? 0
  }

  /** Neighbours often carry equal headers: then the object is shared instead of made again. */
  #headers(start: number, length: number): Headers {
    const bytes = this.#bytes
    if (
      length === this.#lastLength &&
      bytes.compare(bytes, start, start + length, this.#lastStart, this.#lastStart + length) === 0
    ) {
      return this.#lastHeaders
    }
    const headers: Record<string, string> = {}
    for (let at = start; at < start + length;) {
      const valueAt = at + 6 + bytes.readUInt16LE(at)
      const next = valueAt + bytes.readUInt32LE(at + 2)
      if (next > start + length) throw this.#corrupt()
      headers[bytes.toString('utf8', at + 6, valueAt)] = bytes.toString('utf8', valueAt, next)
      at = next
    }
    this.#lastHeaders = Object.freeze(headers)
    this.#lastStart = start
    this.#lastLength = length
    return this.#lastHeaders
  }

  #corrupt(): StreamError {
    return corruptBatch(this.#where, 'a record runs over the end of its batch')
  }
}

/** Checks a batch against its checksum and version, and opens it. Throws `corrupt`. */
export function openBatch(bytes: Uint8Array, count: number, where: string): RecordReader {
  checkBatch(bytes, count, () => where)
  return openChecked(bytes, where)
}

/** Opens a batch that {@link checkBatch} has passed. */
export function openChecked(bytes: Uint8Array, where: string): RecordReader {
  return new RecordReader(bytes, batchHeaderBytes, where)
}

/** Checks a batch against its checksum and version. Throws `corrupt`; `where` names the batch for the message. */
export function checkBatch(bytes: Uint8Array, count: number, where: () => string): void {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.length < batchHeaderBytes) throw corruptBatch(where(), 'it is cut short')
  if (view[4] !== formatVersion) {
    throw corruptBatch(where(), `it has format ${view[4]}, and this version of Sluice reads ${formatVersion}`)
  }
  if (view.readUInt32LE(0) !== crc32(view.subarray(4))) throw corruptBatch(where(), 'its checksum does not fit')
  if (view.readUInt32LE(8) !== count) throw corruptBatch(where(), 'its number of records does not fit')
}

function corruptBatch(where: string, problem: string): StreamError {
  return new StreamError(
    'corrupt',
    `the batch at ${where} cannot be read: ${problem}; restore the folder from a copy, or move the group past it with a seek`,
    { details: { where } },
  )
}
