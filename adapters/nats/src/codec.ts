import { parseExpiry, StreamError } from '@sluice/driver'
import type { Headers, OutgoingRecord, PartitionId, Position } from '@sluice/driver'

/*
 * A record is a NATS message: the body is its payload, everything else is headers.
 *
 *   Nats-Msg-Id         the id; the server drops a second one within the stream's duplicate window
 *   sluice-key          the key, percent-encoded
 *   sluice-produced-at  milliseconds since 1970
 *   sluice-expires-at   milliseconds since 1970
 *   sluice-percent      names of headers whose values are percent-encoded, because they are not plain ASCII
 *
 * and the caller's headers under their own names. A server takes 64 KiB of headers: where the caller's are more than that,
 * they stand as JSON before the body, and `sluice-headers` tells how many bytes they are. A message without any of it,
 * written by another program, is a record too.
 */
const idHeader = 'Nats-Msg-Id'
const keyHeader = 'sluice-key'
const producedHeader = 'sluice-produced-at'
const expiresHeader = 'sluice-expires-at'
const percentHeader = 'sluice-percent'
const packedHeader = 'sluice-headers'

/** The caller's headers may take this much of the 65 535 bytes that a server allows for all. */
const maxCallerBytes = 56_000

/** What a header value may be as it is: printable ASCII without outer spaces. */
const plain = /^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/
/** As {@link plain}, without the percent sign. */
const plainKey = /^(?:[\x21-\x24\x26-\x7e](?:[\x20-\x24\x26-\x7e]*[\x21-\x24\x26-\x7e])?)?$/

/** `NATS/1.0`, and the empty line at the end. */
const blockBytes = 12
/** A colon, a space and a line end. */
const lineBytes = 4

/** A record as it goes over the wire. */
export interface EncodedRecord {
  /** ASCII throughout, so its length is its size. */
  readonly block: string
  readonly body: Uint8Array
}

/** Encodes a record; its block and body together have as many bytes as {@link measureRecord} says. */
export function encodeRecord(record: OutgoingRecord): EncodedRecord {
  let block = `NATS/1.0\r\n${idHeader}: ${record.id}\r\n${producedHeader}: ${record.producedAtMs}\r\n`
  if (record.key !== undefined) block += `${keyHeader}: ${percentEncode(record.key, plainKey)}\r\n`
  if (record.expiresAtMs !== undefined) block += `${expiresHeader}: ${record.expiresAtMs}\r\n`
  if (callerBytes(record.headers) <= maxCallerBytes) {
    return { block: `${block}${callerLines(record.headers)}\r\n`, body: record.body }
  }
  const packed = Buffer.from(JSON.stringify(record.headers))
  return { block: `${block}${packedHeader}: ${packed.length}\r\n\r\n`, body: Buffer.concat([packed, record.body]) }
}

/** Bytes of the record as the server counts them: the header block and the payload. */
export function measureRecord(record: OutgoingRecord): number {
  let size = blockBytes + record.body.length + lineOf(idHeader, record.id.length)
  size += lineOf(producedHeader, String(record.producedAtMs).length)
  if (record.key !== undefined) size += lineOf(keyHeader, percentLength(record.key, plainKey))
  if (record.expiresAtMs !== undefined) size += lineOf(expiresHeader, String(record.expiresAtMs).length)
  const caller = callerBytes(record.headers)
  if (caller <= maxCallerBytes) return size + caller
  const packed = Buffer.byteLength(JSON.stringify(record.headers))
  return size + packed + lineOf(packedHeader, String(packed).length)
}

/** The caller's headers as lines. */
function callerLines(headers: Headers): string {
  let lines = ''
  let encoded = ''
  for (const name in headers) {
    const value = headers[name] ?? ''
    if (plain.test(value)) {
      lines += `${name}: ${value}\r\n`
    } else {
      lines += `${name}: ${percentEncode(value, plainKey)}\r\n`
      encoded += encoded === '' ? name : `,${name}`
    }
  }
  return encoded === '' ? lines : `${lines}${percentHeader}: ${encoded}\r\n`
}

function callerBytes(headers: Headers): number {
  let size = 0
  let encoded = 0
  for (const name in headers) {
    const value = headers[name] ?? ''
    if (plain.test(value)) {
      size += lineOf(name, value.length)
    } else {
      size += lineOf(name, percentLength(value, plainKey))
      encoded += name.length + (encoded === 0 ? 0 : 1)
    }
  }
  return encoded === 0 ? size : size + lineOf(percentHeader, encoded)
}

function lineOf(name: string, valueLength: number): number {
  return name.length + valueLength + lineBytes
}

/** What a message says. */
export interface DecodedRecord {
  /** `undefined`: another program wrote it. */
  readonly id: string | undefined
  readonly key: string | undefined
  readonly headers: Headers
  readonly expiresAtMs: number | undefined
  readonly body: Uint8Array
}

const noHeaders: Headers = Object.freeze({})

const utf8 = new TextDecoder()

/**
 * Reads a message. `block` is its header block as it came: the client's own reader checks each character of each name,
 * which takes longer than all the rest of a record. Of a header given several times the values are joined with commas.
 * Never throws.
 */
export function decodeRecord(block: Uint8Array | undefined, payload: Uint8Array): DecodedRecord {
  let id: string | undefined
  let key: string | undefined
  let expiresAtMs: number | undefined
  let encoded: readonly string[] = []
  let headers: Record<string, string> | undefined
  let packed = 0
  const text = block === undefined ? '' : utf8.decode(block)
  // The first line is the version, and an empty one is the last.
  for (let at = endOfLine(text, 0) + 2, end; (end = endOfLine(text, at)) > at; at = end + 2) {
    const colon = text.indexOf(':', at)
    if (colon < 0 || colon > end) continue
    const name = text.slice(at, colon).toLowerCase()
    const value = text.slice(colon + 1, end).trim()
    if (name === 'nats-msg-id') id = value === '' ? undefined : value
    else if (name === keyHeader) key = percentDecode(value)
    else if (name === expiresHeader) expiresAtMs = parseExpiry(value)
    else if (name === percentHeader) encoded = value.split(',')
    else if (name === packedHeader) packed = /^\d{1,9}$/.test(value) ? Number(value) : 0
    else if (name !== producedHeader && !name.startsWith('nats-')) {
      headers ??= {}
      headers[name] = Object.hasOwn(headers, name) ? `${headers[name]}, ${value}` : value
    }
  }
  for (const name of headers === undefined ? [] : encoded) {
    const value = headers?.[name]
    if (headers !== undefined && value !== undefined) headers[name] = percentDecode(value)
  }
  const unpacked = packed === 0 ? undefined : unpack(payload, packed)
  if (unpacked !== undefined) return { id, key, expiresAtMs, ...unpacked }
  return { id, key, headers: headers ?? noHeaders, expiresAtMs, body: payload }
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\r\n', from)
  return end < 0 ? text.length : end
}

/** Headers that stand before the body; `undefined`: there are none, whatever the message says. */
function unpack(payload: Uint8Array, length: number): Pick<DecodedRecord, 'headers' | 'body'> | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(payload.subarray(0, length)).toString())
    if (typeof parsed !== 'object' || parsed === null || length > payload.length) return undefined
    const entries = Object.entries(parsed).map(([name, value]): [string, string] => [name, String(value)])
    return { headers: Object.fromEntries(entries), body: payload.subarray(length) }
  } catch {
    return undefined
  }
}

const deliveryPrefix = '$JS.ACK.'

/** What the reply subject of a delivered message says. */
export interface DeliveryInfo {
  readonly deliveries: number
  readonly streamSequence: number
  readonly consumerSequence: number
  readonly timeMs: number
}

/**
 * Reads `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<ns>.<pending>`, which may have a domain and
 * an account hash before the stream, and then a token at its end. `undefined`: it is no delivery.
 */
export function parseDelivery(reply: string | undefined): DeliveryInfo | undefined {
  if (reply === undefined || !reply.startsWith(deliveryPrefix)) return undefined
  // Where tokens end: to cut out those that are read takes half as long as to cut all.
  const dots: number[] = []
  for (let at = reply.indexOf('.', deliveryPrefix.length); at >= 0; at = reply.indexOf('.', at + 1)) dots.push(at)
  const first = dots.length === 6 ? 1 : 3
  if (dots.length < 6 || dots.length === 7) return undefined
  const number = (index: number): number => Number(reply.slice((dots[first + index] ?? 0) + 1, dots[first + index + 1]))
  const info = {
    deliveries: number(0),
    streamSequence: number(1),
    consumerSequence: number(2),
    timeMs: Math.floor(number(3) / 1e6),
  }
  return Number.isSafeInteger(info.streamSequence) && Number.isSafeInteger(info.deliveries) ? info : undefined
}

/** A stream sequence as a position. */
export function toPosition(sequence: number): Position {
  return String(sequence) as Position
}

/** The stream sequence of a position. Throws `invalid-argument` for what is none. */
export function toSequence(position: Position, partition: PartitionId): number {
  const sequence = Number(position)
  if (/^\d{1,16}$/.test(position) && Number.isSafeInteger(sequence)) return sequence
  throw new StreamError(
    'invalid-argument',
    `"${position}" is no position of partition ${partition}; take one that a message or receipt had`,
  )
}

/** Orders two positions. Throws `invalid-argument` for what is none. */
export function comparePositions(a: Position, b: Position): number {
  return toSequence(a, '') - toSequence(b, '')
}

/** Makes one token of any text, for names of streams and consumers, keys and subjects. */
export function encodeName(text: string): string {
  if (/^[\w-]+$/.test(text)) return text
  return [...Buffer.from(text)].map((byte) => (isNameByte(byte) ? String.fromCharCode(byte) : `=${hex(byte)}`)).join('')
}

/** The text that {@link encodeName} made a token of. */
export function decodeName(token: string): string {
  const bytes: number[] = []
  for (let at = 0; at < token.length; at++) {
    if (token[at] === '=') {
      bytes.push(Number.parseInt(token.slice(at + 1, at + 3), 16))
      at += 2
    } else bytes.push(token.charCodeAt(at))
  }
  return Buffer.from(bytes).toString()
}

function isNameByte(byte: number): boolean {
  return /[\w-]/.test(String.fromCharCode(byte)) && byte < 0x80
}

function percentEncode(text: string, asIs: RegExp): string {
  if (asIs.test(text)) return text
  const bytes = Buffer.from(text)
  let encoded = ''
  for (const [index, byte] of bytes.entries()) {
    const isOuterSpace = byte === 0x20 && (index === 0 || index === bytes.length - 1)
    const asIs = byte >= 0x20 && byte <= 0x7e && byte !== 0x25 && !isOuterSpace
    encoded += asIs ? String.fromCharCode(byte) : `%${hex(byte)}`
  }
  return encoded
}

function percentLength(text: string, asIs: RegExp): number {
  return asIs.test(text) ? text.length : percentEncode(text, asIs).length
}

/** Text that is not percent-encoded properly was written by another program, and stays as it is. */
function percentDecode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0')
}
