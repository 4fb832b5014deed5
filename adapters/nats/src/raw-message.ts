import type { Msg, MsgHdrsImpl } from '@nats-io/transport-node'

/** What of the client's messages is looked at: version 3.4.0, which the package pins. */
interface RawMessage {
  readonly _rdata?: unknown
  readonly _msg?: { readonly hdr?: unknown }
  readonly size?: () => number
}

/** The headers of a message as they came; the client gives only what it has read of them, and they cost it more than the rest. */
export function headerBlockOf(message: Msg): Uint8Array | undefined {
  const { _msg: args, _rdata: data } = message as RawMessage
  if (data instanceof Uint8Array && typeof args?.hdr === 'number') {
    return args.hdr < 0 ? undefined : data.subarray(0, args.hdr)
  }
  return message.headers === undefined ? undefined : (message.headers as MsgHdrsImpl).encode()
}

/** Bytes of subject, reply, headers and payload together, as a server counts what a request asks for. */
export function sizeOf(message: Msg): number {
  return (message as RawMessage).size?.() ?? 0
}
