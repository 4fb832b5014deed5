import { StreamError } from '@sluice/driver'
import type { Codec } from './codec.ts'

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** UTF-8 JSON: the default. Values that JSON cannot hold (`undefined`, functions, bigint, cycles) are `invalid-argument`. */
export const json: Codec<unknown> = {
  contentType: 'application/json',
  encode(value) {
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) {
      throw new StreamError(
        'invalid-argument',
        `JSON cannot hold a value of type ${typeof value}; choose another codec`,
      )
    }
    return Buffer.from(text)
  },
  decode: (body) => JSON.parse(strictUtf8.decode(body)) as unknown,
}

/** UTF-8 text. Bytes that are not valid UTF-8 are poison. */
export const text: Codec<string> = {
  contentType: 'text/plain; charset=utf-8',
  encode: (value) => Buffer.from(value),
  decode: (body) => strictUtf8.decode(body),
}

/** The bytes as they are. A received value is a copy, the reader's to keep. */
export const bytes: Codec<Uint8Array> = {
  contentType: 'application/octet-stream',
  encode: (value) => value,
  decode: (body) => new Uint8Array(body),
}
