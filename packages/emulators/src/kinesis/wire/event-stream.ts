import { crc32 } from 'node:zlib'

/** How a frame of an event stream is meant. */
export type FrameKind =
  | { readonly type: 'event'; readonly name: string }
  | { readonly type: 'exception'; readonly name: string }

/**
 * A frame of `application/vnd.amazon.eventstream`: lengths, their checksum, headers, payload, and a checksum of it all.
 * Source: https://smithy.io/2.0/aws/amazon-eventstream.html
 */
export function encodeFrame(kind: FrameKind, payload: Buffer): Buffer {
  const headers = Buffer.concat([
    header(':message-type', kind.type),
    header(kind.type === 'event' ? ':event-type' : ':exception-type', kind.name),
    header(':content-type', 'application/json'),
  ])
  const frame = Buffer.alloc(preludeBytes + headers.length + payload.length + 4)
  frame.writeUInt32BE(frame.length, 0)
  frame.writeUInt32BE(headers.length, 4)
  frame.writeUInt32BE(crc32(frame.subarray(0, 8)), 8)
  headers.copy(frame, preludeBytes)
  payload.copy(frame, preludeBytes + headers.length)
  frame.writeUInt32BE(crc32(frame.subarray(0, -4)), frame.length - 4)
  return frame
}

const preludeBytes = 12
const stringValue = 7

function header(name: string, value: string): Buffer {
  const head = Buffer.alloc(name.length + 4)
  head.writeUInt8(name.length, 0)
  head.write(name, 1)
  head.writeUInt8(stringValue, name.length + 1)
  head.writeUInt16BE(value.length, name.length + 2)
  return Buffer.concat([head, Buffer.from(value)])
}
