import { randomUUID } from 'node:crypto'

/** A record by hand: lengths, an id of its own, the key, and the value as JSON. */
export function encode({ key = '', value }: { readonly key: string | undefined; readonly value: unknown }): Buffer {
  const id = randomUUID()
  const body = Buffer.from(JSON.stringify(value))
  const frame = Buffer.allocUnsafe(12 + id.length + key.length + body.length)
  frame.writeUInt32LE(frame.length, 0)
  frame.writeUInt32LE(id.length, 4)
  frame.writeUInt32LE(key.length, 8)
  frame.write(id, 12, 'latin1')
  frame.write(key, 12 + id.length, 'latin1')
  frame.set(body, 12 + id.length + key.length)
  return frame
}
