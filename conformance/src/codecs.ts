import type { Codec } from '@sluice/core'

/** Bytes as they are. Decoding copies them, as the contract demands of what is kept. */
export const bytesCodec: Codec<Uint8Array> = {
  contentType: 'application/octet-stream',
  encode: (value) => value,
  decode: (body) => Uint8Array.from(body),
}

/** Claims to be JSON and writes whatever it is given: how a program with a defect makes poison. */
export const poisonCodec: Codec<Uint8Array> = {
  contentType: 'application/json',
  encode: (value) => value,
  decode: (body) => Uint8Array.from(body),
}

/** JSON with a type of one's choice, unchecked: what the suite sends most. */
export function json<T>(): Codec<T> {
  return {
    contentType: 'application/json',
    encode: (value) => new TextEncoder().encode(JSON.stringify(value)),
    decode: (body) => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body)) as T,
  }
}
