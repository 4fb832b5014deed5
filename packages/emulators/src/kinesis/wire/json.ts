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

/** An answer: bytes as base64, times in seconds. */
export function encodeJson(value: unknown): Buffer {
  return Buffer.from(write(value))
}

function write(value: unknown): string {
  if (Buffer.isBuffer(value)) return `"${value.toString('base64')}"`
  if (value instanceof Date) return String(value.getTime() / 1_000)
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  let text = ''
  for (const [name, member] of Object.entries(value)) {
    if (member !== undefined) text += `${text === '' ? '' : ','}"${name}":${write(member)}`
  }
  return `{${text}}`
}
