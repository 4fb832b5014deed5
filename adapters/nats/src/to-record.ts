import type { Msg, MsgHdrsImpl } from '@nats-io/transport-node'
import type { IncomingRecord, PartitionId } from '@sluice/driver'
import { decodeRecord, toPosition } from './codec.ts'
import type { DeliveryInfo } from './codec.ts'
import type { TopicView } from './topic.ts'

/** A message of a stream as a record. */
export function toRecord(
  message: Msg,
  info: DeliveryInfo,
  topic: TopicView,
  partition: PartitionId,
  epoch: number,
): IncomingRecord {
  const { id, key, headers, expiresAtMs, body } = decodeRecord(headerBlockOf(message), message.data)
  return {
    id: id ?? `${topic.stream}:${info.streamSequence}`,
    partition,
    position: toPosition(info.streamSequence),
    key,
    headers,
    body,
    timeMs: info.timeMs,
    expiresAtMs,
    epoch,
    native: message,
  }
}

/** What of the client's messages is looked at: version 3.4.0, which the package pins. */
interface MessageInside {
  readonly _rdata?: unknown
  readonly _msg?: { readonly hdr?: unknown }
}

/** The headers of a message as they came; the client gives only what it has read of them, and they cost it more than the rest. */
function headerBlockOf(message: Msg): Uint8Array | undefined {
  const { _msg: args, _rdata: data } = message as MessageInside
  if (data instanceof Uint8Array && typeof args?.hdr === 'number') {
    return args.hdr < 0 ? undefined : data.subarray(0, args.hdr)
  }
  return message.headers === undefined ? undefined : (message.headers as MsgHdrsImpl).encode()
}
