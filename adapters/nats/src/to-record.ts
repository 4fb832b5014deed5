import type { Msg } from '@nats-io/transport-node'
import type { IncomingRecord, PartitionId } from '@sluice/driver'
import { decodeRecord, toPosition } from './codec.ts'
import type { DeliveryInfo } from './codec.ts'
import { headerBlockOf } from './raw-message.ts'
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
