const lengthDelimited = 2

/**
 * Writes the little of protobuf that an aggregate needs: numbers and pieces of bytes. All goes into one buffer, whose owner has
 * worked out beforehand how much it takes: a piece that stands in another says its length first.
 * Source: https://protobuf.dev/programming-guides/encoding/
 */
export class ProtobufWriter {
  readonly #into: Buffer
  #at: number

  constructor(into: Buffer, at: number) {
    this.#into = into
    this.#at = at
  }

  /** Where the next field goes. */
  get at(): number {
    return this.#at
  }

  number(field: number, value: number): void {
    this.#varint(field << 3)
    this.#varint(value)
  }

  /** Begins a field of so many bytes, which come next: a message. */
  begin(field: number, length: number): void {
    this.#varint((field << 3) | lengthDelimited)
    this.#varint(length)
  }

  bytes(field: number, value: Uint8Array): void {
    this.begin(field, value.length)
    this.#into.set(value, this.#at)
    this.#at += value.length
  }

  text(field: number, value: string): void {
    const from = this.#at
    if (value.length <= mostByHand) {
      this.begin(field, value.length)
      if (this.#ascii(value)) return
      this.#at = from
    }
    const bytes = textBytes(value)
    this.begin(field, bytes)
    this.#into.write(value, this.#at)
    this.#at += bytes
  }

  /** Says whether it was, and is written. */
  #ascii(value: string): boolean {
    for (let at = 0; at < value.length; at++) {
      const code = value.charCodeAt(at)
      if (code >= 0x80) return false
      this.#into[this.#at + at] = code
    }
    this.#at += value.length
    return true
  }

  #varint(value: number): void {
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#into[this.#at++] = (rest % 0x80) | 0x80
    this.#into[this.#at++] = rest
  }
}

/** Characters up to which a loop is faster than a call of Node. */
const mostByHand = 64

/** Bytes of a text in UTF-8. */
export function textBytes(text: string): number {
  if (text.length > mostByHand) return Buffer.byteLength(text)
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return Buffer.byteLength(text)
  return text.length
}

/** Bytes that a field takes whose value has so many, with its number and its length. The number is below 16. */
export function fieldBytes(length: number): number {
  return 1 + varintBytes(length) + length
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

/**
 * Reads the fields of a message one by one, where they stand. Throws a `RangeError` when it is cut off, or is none. What it
 * holds is that of the field it is at, so that nothing is made for a field but what is asked for.
 */
export class ProtobufReader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number
  field = 0
  /** Fixed numbers are `other`: nothing here has them, so they are passed over. */
  kind: 'number' | 'bytes' | 'other' = 'other'
  #number = 0
  #from = 0

  constructor(bytes: Buffer, from = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#at = from
    this.#end = end
  }

  /** Goes to the next field; `false`: there is none. */
  next(): boolean {
    if (this.#at === this.#end) return false
    const tag = this.#varint()
    this.field = tag >>> 3
    switch (tag & 7) {
      case 0:
        this.kind = 'number'
        this.#number = this.#varint()
        return true
      case 1:
        this.kind = 'other'
        this.#pass(8)
        return true
      case lengthDelimited:
        this.kind = 'bytes'
        this.#pass(this.#varint())
        return true
      case 5:
        this.kind = 'other'
        this.#pass(4)
        return true
      default:
        throw new RangeError('a field of no known kind')
    }
  }

  get number(): number {
    return this.#number
  }

  /** Not a copy. */
  get bytes(): Buffer {
    return this.#bytes.subarray(this.#from, this.#at)
  }

  get text(): string {
    return this.#bytes.toString('utf8', this.#from, this.#at)
  }

  get message(): ProtobufReader {
    return new ProtobufReader(this.#bytes, this.#from, this.#at)
  }

  #pass(length: number): void {
    this.#from = this.#at
    this.#at += length
    if (this.#at > this.#end) throw new RangeError('cut off')
  }

  #varint(): number {
    let value = 0
    // Ten bytes at most; what is above 2^53 loses its last digits, and no index or length is.
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at === this.#end) throw new RangeError('cut off')
      const byte = this.#bytes[this.#at++] ?? 0
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a number that does not end')
  }
}
