import type { Buffer } from 'node:buffer'

/*
 * Where a value stands in JSON text. All that gives the text its structure is ASCII, which is in no other character of UTF-8, so
 * bytes are looked at. The text is known to be JSON: what is wrong with it is not noticed here.
 */
const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const comma = 0x2c
const open: ReadonlySet<number | undefined> = new Set([0x7b, 0x5b])
const close: ReadonlySet<number | undefined> = new Set([0x7d, 0x5d])
const space: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d])

/**
 * The value of a member of an object, as it stands in the object's text: digits, order and white space inside it are the writer's.
 * Of several members of the name it is the last one's, which is `JSON.parse`'s too. Not a copy.
 */
export function memberText(json: Buffer, name: string): Buffer | undefined {
  let found: Buffer | undefined
  // Between values stands no quote but that of the next name.
  for (let at = json.indexOf(quote); at !== -1;) {
    const nameEnd = endOfString(json, at)
    const valueAt = json.indexOf(colon, nameEnd) + 1
    const valueEnd = endOfValue(json, valueAt)
    if (isNamed(json.subarray(at, nameEnd), name)) found = trimmed(json.subarray(valueAt, valueEnd))
    at = json.indexOf(quote, valueEnd)
  }
  return found
}

/** Behind the quote that ends the string which begins here. */
function endOfString(json: Buffer, begin: number): number {
  for (let at = begin + 1; at < json.length; at++) {
    if (json[at] === quote) return at + 1
    if (json[at] === backslash) at++
  }
  return json.length
}

/** The comma or the bracket that comes after the value which begins here. */
function endOfValue(json: Buffer, begin: number): number {
  let depth = 0
  for (let at = begin; at < json.length; at++) {
    const byte = json[at]
    if (byte === quote) at = endOfString(json, at) - 1
    else if (open.has(byte)) depth++
    else if (depth === 0 && (byte === comma || close.has(byte))) return at
    else if (close.has(byte)) depth--
  }
  return json.length
}

/** Whether a string is the name, in its quotes and with what it escapes. */
function isNamed(text: Buffer, name: string): boolean {
  const isEscaped = text.includes(backslash)
  return isEscaped ? JSON.parse(text.toString()) === name : text.toString('utf8', 1, text.length - 1) === name
}

function trimmed(text: Buffer): Buffer {
  let [begin, end] = [0, text.length]
  while (space.has(text[begin])) begin++
  while (space.has(text[end - 1])) end--
  return text.subarray(begin, end)
}
