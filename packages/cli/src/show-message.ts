import type { Codec, ReadMessage } from '@sluice/core'

/** Leaves bytes as they are: looking at a topic must work whatever is in it. */
export const rawCodec: Codec<Uint8Array> = {
  contentType: 'application/octet-stream',
  encode: (value) => value,
  // The bytes may be reused, so they are copied.
  decode: (body) => body.slice(),
}

/** A body as it can be printed. */
export type Shown = { readonly value: unknown } | { readonly text: string } | { readonly base64: string }

/** JSON as its value, other UTF-8 as text, the rest as base64. */
export function showBody(body: Uint8Array): Shown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return { base64: Buffer.from(body).toString('base64') }
  }
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return { text }
  }
}

/** The body on one line. */
export function bodyLine(body: Uint8Array): string {
  const shown = showBody(body)
  if ('value' in shown) return JSON.stringify(shown.value)
  return 'text' in shown ? JSON.stringify(shown.text) : `base64:${shown.base64}`
}

/** A message as one JSON object. */
export function messageData(message: ReadMessage<unknown>): object {
  return {
    topic: message.topic,
    partition: message.partition,
    position: message.position,
    time: message.time.toISOString(),
    id: message.id,
    key: message.key,
    headers: message.headers,
    ...showBody(message.body),
  }
}

/** A message on one line: time, place, key, value. */
export function messageLine(message: ReadMessage<unknown>): string {
  const place = message.position === undefined ? message.partition : `${message.partition}:${message.position}`
  const key = message.key === undefined ? '-' : JSON.stringify(message.key)
  return `${message.time.toISOString()}  ${place}  ${key}  ${bodyLine(message.body)}`
}
