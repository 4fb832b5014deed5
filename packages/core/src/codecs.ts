import { isUint8Array } from 'node:util/types'
import { StreamError } from '@sluice/driver'
import type { Codec } from './codec.ts'
import { findJsonLoss } from './json-loss.ts'
import { kindOf } from './values.ts'

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const slabBytes = 256 * 1024

/** Encodes text into slices of a slab: a buffer of its own for each short text costs more than the text. */
class TextSlab {
  #slab = Buffer.alloc(0)
  #used = 0

  encode(text: string): Uint8Array {
    const most = text.length * 3
    if (most > slabBytes / 8) return Buffer.from(text)
    if (this.#used + most > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#used = 0
    }
    const start = this.#used
    this.#used += this.#slab.write(text, start, 'utf8')
    return this.#slab.subarray(start, this.#used)
  }
}

const slab = new TextSlab()

/**
 * UTF-8 JSON: the default. Refuses with `invalid-argument` what JSON cannot hold (`undefined`, functions, bigint, cycles)
 * and, at any depth, what it would change or leave out without a word, naming the place: `NaN`, `±Infinity` and an invalid
 * `Date`; `undefined` in an array; functions and symbols; `Map`, `Set`, `RegExp`, `Error`, promises, binary data, and
 * objects that show nothing of what they hold, as `Headers`, iterators and `WeakRef`. Two things are as JSON has them: a member of an object that is `undefined` is left out, and -0 becomes 0. A `Date`, or
 * whatever else has `toJSON`, is received as what that gives: a schema for dates must take text (`z.coerce.date()`, not
 * `z.date()`).
 */
export const json: Codec<unknown> = {
  contentType: 'application/json',
  encode(value) {
    const encoded = JSON.stringify(value) as string | undefined
    if (encoded === undefined)
      throw new StreamError(
        'invalid-argument',
        `JSON cannot hold a value of type ${typeof value}; choose another codec`,
      )
    refuseLoss(value)
    return slab.encode(encoded)
  },
  decode: (body) => parse(strictUtf8.decode(body)),
}

/** V8 quotes what it cannot parse: a message's content has no place in a log or a header. */
function parse(encoded: string): unknown {
  try {
    return JSON.parse(encoded) as unknown
  } catch (error) {
    const position = /at position \d+/.exec(String(error))?.[0]
    // oxlint-disable-next-line preserve-caught-error -- its message is what must not be shown
    throw new SyntaxError(
      `these ${encoded.length} characters are no JSON${position === undefined ? '' : `, ${position}`}`,
    )
  }
}

function refuseLoss(value: unknown): void {
  const loss = findJsonLoss(value)
  if (loss === undefined) return
  throw new StreamError(
    'invalid-argument',
    `JSON cannot hold ${loss} and would change it or leave it out; send it in a form that JSON has (null, text, an array or a plain object), or choose another codec`,
  )
}

/** UTF-8 text. Refuses what is no string, and lone surrogates. Bytes that are not valid UTF-8 are poison. */
export const text: Codec<string> = {
  contentType: 'text/plain; charset=utf-8',
  encode(value) {
    if (typeof value !== 'string')
      throw new StreamError('invalid-argument', `the codec "text" takes a string, not ${kindOf(value)}`)
    if (!value.isWellFormed())
      throw new StreamError(
        'invalid-argument',
        'the codec "text" takes well-formed Unicode; this string holds a lone surrogate, which UTF-8 cannot',
      )
    return Buffer.from(value)
  },
  decode: (body) => strictUtf8.decode(body),
}

/** The bytes as they are; refuses what is no `Uint8Array`. What is sent is copied, and a received value is a copy. */
export const bytes: Codec<Uint8Array> = {
  contentType: 'application/octet-stream',
  encode(value) {
    if (!isUint8Array(value))
      throw new StreamError('invalid-argument', `the codec "bytes" takes a Uint8Array, not ${kindOf(value)}`)
    return Buffer.from(value)
  },
  decode: (body) => new Uint8Array(body),
}
