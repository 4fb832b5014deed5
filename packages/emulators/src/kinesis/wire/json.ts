import { unreadable } from '../service-error.ts'

/** A request's body. An empty one is an empty object. */
export function decodeJson(body: Buffer): unknown {
  if (body.length === 0) return {}
  try {
    return JSON.parse(body.toString()) as unknown
  } catch {
    throw unreadable('The request body is not valid JSON.')
  }
}

/** An answer: bytes as base64, times in seconds. Written in pieces, so that no text is as long as all records of an answer. */
export function encodeJson(value: unknown): readonly Buffer[] {
  const writer = new Writer()
  writer.write(value)
  return writer.end()
}

const pieceLength = 64 * 1024

class Writer {
  readonly #pieces: Buffer[] = []
  #text = ''

  write(value: unknown): void {
    if (Buffer.isBuffer(value)) this.#emit(`"${value.toString('base64')}"`)
    else if (value instanceof Date) this.#emit(String(value.getTime() / 1_000))
    else if (Array.isArray(value)) this.#writeList(value)
    else if (typeof value !== 'object' || value === null) this.#emit(JSON.stringify(value))
    else this.#writeMembers(value)
  }

  end(): readonly Buffer[] {
    this.#pieces.push(Buffer.from(this.#text))
    return this.#pieces
  }

  #writeList(items: readonly unknown[]): void {
    let before = '['
    for (const item of items) {
      this.#emit(before)
      this.write(item)
      before = ','
    }
    this.#emit(items.length === 0 ? '[]' : ']')
  }

  #writeMembers(members: object): void {
    let before = '{'
    for (const [name, member] of Object.entries(members)) {
      if (member === undefined) continue
      this.#emit(`${before}"${name}":`)
      this.write(member)
      before = ','
    }
    this.#emit(before === '{' ? '{}' : '}')
  }

  #emit(text: string): void {
    this.#text += text
    if (this.#text.length < pieceLength) return
    this.#pieces.push(Buffer.from(this.#text))
    this.#text = ''
  }
}
