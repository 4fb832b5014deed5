import { unreadable } from '../service-error.ts'

/**
 * CBOR (RFC 8949) as the AWS SDK for Java speaks it: `application/x-amz-cbor-1.1`. Times are tag 1 with a number of
 * milliseconds, which the RFC does not say and the SDK does.
 */
const timeTag = 1
const deepest = 32
/** What one request can be made of: 500 records of four members are a few thousand. */
const mostItems = 200_000

/** A request's body, of which nothing is kept. Bytes come as `Buffer`, times as `Date`. */
export function decodeCbor(body: Buffer): unknown {
  if (body.length === 0) return {}
  const reader = new Reader(body)
  const value = reader.value(0)
  if (value === stop || !reader.atEnd) throw unreadable('The request body is not valid CBOR.')
  return value
}

const stop = Symbol('the end of an item of unknown length')

class Reader {
  readonly #bytes: Buffer
  #at = 0
  #items = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  value(depth: number): unknown {
    if (depth > deepest) throw unreadable('The request body is nested too deep.')
    if (++this.#items > mostItems) throw unreadable('The request body has too many items.')
    const first = this.#take(1).readUInt8()
    const [kind, info] = [first >> 5, first & 0x1f]
    if (kind === 7) return this.#simple(info)
    const open = info === 31
    switch (kind) {
      case 0:
        return this.#count(info)
      case 1:
        return -1 - this.#count(info)
      case 2:
        return open ? Buffer.concat(this.#chunks(depth).map(asBytes)) : Buffer.from(this.#take(this.#count(info)))
      case 3:
        return open ? this.#chunks(depth).join('') : this.#take(this.#count(info)).toString()
      case 4:
        return open ? this.#chunks(depth) : Array.from({ length: this.#itemCount(info) }, () => this.#item(depth))
      case 5:
        return this.#map(open ? Infinity : this.#itemCount(info), depth)
      default:
        return this.#tagged(this.#count(info), depth)
    }
  }

  #item(depth: number): unknown {
    const value = this.value(depth + 1)
    if (value === stop) throw unreadable('The request body ends an item that has not begun.')
    return value
  }

  #chunks(depth: number): unknown[] {
    const chunks: unknown[] = []
    for (let one = this.value(depth + 1); one !== stop; one = this.value(depth + 1)) chunks.push(one)
    return chunks
  }

  #map(size: number, depth: number): Readonly<Record<string, unknown>> {
    const entries: [string, unknown][] = []
    while (entries.length < size) {
      const name = this.value(depth + 1)
      if (name === stop && size === Infinity) break
      if (typeof name !== 'string') throw unreadable('The request body has a name that is no text.')
      entries.push([name, this.#item(depth)])
    }
    return Object.fromEntries(entries)
  }

  #tagged(tag: number, depth: number): unknown {
    const value = this.#item(depth)
    return tag === timeTag && typeof value === 'number' ? new Date(value) : value
  }

  #simple(info: number): unknown {
    switch (info) {
      case 20:
        return false
      case 21:
        return true
      case 22:
      case 23:
        return undefined
      case 25:
        return halfFloat(this.#take(2).readUInt16BE())
      case 26:
        return this.#take(4).readFloatBE()
      case 27:
        return this.#take(8).readDoubleBE()
      case 31:
        return stop
      default:
        throw unreadable('The request body has a value of no known kind.')
    }
  }

  /** A number of items cannot be more than there are bytes left: memory is not asked for on a stranger's word. */
  #itemCount(info: number): number {
    const count = this.#count(info)
    if (count > this.#bytes.length - this.#at) throw unreadable('The request body is cut off.')
    if (count > mostItems) throw unreadable('The request body has too many items.')
    return count
  }

  #count(info: number): number {
    if (info < 24) return info
    if (info === 24) return this.#take(1).readUInt8()
    if (info === 25) return this.#take(2).readUInt16BE()
    if (info === 26) return this.#take(4).readUInt32BE()
    if (info === 27) return Number(this.#take(8).readBigUInt64BE())
    throw unreadable('The request body has a length of no known kind.')
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw unreadable('The request body is cut off.')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}

function asBytes(chunk: unknown): Buffer {
  if (!Buffer.isBuffer(chunk)) throw unreadable('The request body has bytes in pieces that are none.')
  return chunk
}

function halfFloat(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 === 0 ? 1 : -1, (bits >> 10) & 0x1f, bits & 0x3ff]
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN
  return sign * (1 + fraction / 1_024) * 2 ** (exponent - 15)
}

/** An answer. */
export function encodeCbor(value: unknown): Buffer {
  const parts: Buffer[] = []
  write(value, parts)
  return Buffer.concat(parts)
}

function write(value: unknown, parts: Buffer[]): void {
  if (value === undefined || value === null) parts.push(Buffer.of(0xf6))
  else if (typeof value === 'boolean') parts.push(Buffer.of(value ? 0xf5 : 0xf4))
  else if (typeof value === 'number') parts.push(numberOf(value))
  else if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    parts.push(head(3, bytes.length), bytes)
  } else if (Buffer.isBuffer(value)) parts.push(head(2, value.length), value)
  else if (value instanceof Date) parts.push(head(6, timeTag), numberOf(value.getTime()))
  else if (Array.isArray(value)) {
    parts.push(head(4, value.length))
    for (const item of value) write(item, parts)
  } else writeMap(value, parts)
}

function writeMap(value: object, parts: Buffer[]): void {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined)
  parts.push(head(5, entries.length))
  for (const [name, member] of entries) {
    write(name, parts)
    write(member, parts)
  }
}

function numberOf(value: number): Buffer {
  if (Number.isSafeInteger(value)) return value < 0 ? head(1, -1 - value) : head(0, value)
  const bytes = Buffer.alloc(9)
  bytes.writeUInt8(0xfb)
  bytes.writeDoubleBE(value, 1)
  return bytes
}

/** The first bytes of an item: its kind and a number. */
function head(kind: number, count: number): Buffer {
  const first = kind << 5
  if (count < 24) return Buffer.of(first | count)
  if (count < 0x100) return Buffer.of(first | 24, count)
  const bytes = Buffer.alloc(count < 0x1_0000 ? 3 : count < 0x1_0000_0000 ? 5 : 9)
  bytes.writeUInt8(first | (bytes.length === 3 ? 25 : bytes.length === 5 ? 26 : 27))
  if (bytes.length === 3) bytes.writeUInt16BE(count, 1)
  else if (bytes.length === 5) bytes.writeUInt32BE(count, 1)
  else bytes.writeBigUInt64BE(BigInt(count), 1)
  return bytes
}
