/** Writes the little of protobuf that an aggregate needs: numbers and pieces of bytes. Source: https://protobuf.dev/programming-guides/encoding/ */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = []

  number(field: number, value: number): this {
    this.#parts.push(varint(field << 3), varint(value))
    return this
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint((field << 3) | lengthDelimited), varint(value.length), value)
    return this
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value))
  }

  end(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

const lengthDelimited = 2

/** One field of a message. */
export type ProtobufField =
  | { readonly field: number; readonly kind: 'number'; readonly value: number }
  | { readonly field: number; readonly kind: 'bytes'; readonly value: Buffer }
  /** Fixed numbers: nothing here has them, so they are passed over. */
  | { readonly field: number; readonly kind: 'other' }

/** Reads the fields of a message one by one. Throws a `RangeError` when it is cut off, or is none. */
export function* protobufFields(message: Buffer): Generator<ProtobufField> {
  const reader = new Reader(message)
  while (!reader.atEnd) {
    const tag = reader.varint()
    const field = tag >>> 3
    switch (tag & 7) {
      case 0:
        yield { field, kind: 'number', value: reader.varint() }
        break
      case 1:
        reader.take(8)
        yield { field, kind: 'other' }
        break
      case lengthDelimited:
        yield { field, kind: 'bytes', value: reader.take(reader.varint()) }
        break
      case 5:
        reader.take(4)
        yield { field, kind: 'other' }
        break
      default:
        throw new RangeError('a field of no known kind')
    }
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  varint(): number {
    let value = 0
    // Ten bytes at most; what is above 2^53 loses its last digits, and no index or length is.
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new RangeError('cut off')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a number that does not end')
  }

  take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new RangeError('cut off')
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}

/** Bytes that a number takes. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}

function varint(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(varintLength(value))
  let rest = value
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = (rest % 0x80) | (at === bytes.length - 1 ? 0 : 0x80)
    rest = Math.floor(rest / 0x80)
  }
  return bytes
}
