import { GetShardIteratorCommand, ShardIteratorType } from '@aws-sdk/client-kinesis'
import type { GetShardIteratorInput, KinesisClient, StartingPosition } from '@aws-sdk/client-kinesis'
import { StreamError } from '@sluice/driver'
import type { PartitionId } from '@sluice/driver'
import type { Calls } from './calls.ts'
import { isRefused } from './errors.ts'
import type { Place } from './places.ts'

/** A place as the service is told it. In an aggregate reading begins with the whole of it. */
export function toStartingPosition(place: Place): StartingPosition {
  switch (place.kind) {
    case 'horizon':
      return { Type: ShardIteratorType.TRIM_HORIZON }
    case 'latest':
      return { Type: ShardIteratorType.LATEST }
    case 'time':
      return { Type: ShardIteratorType.AT_TIMESTAMP, Timestamp: new Date(place.timeMs) }
    case 'behind':
      return { Type: ShardIteratorType.AT_SEQUENCE_NUMBER, SequenceNumber: place.sequence }
  }
}

/** An iterator at a place. */
export async function iteratorAt(
  client: KinesisClient,
  calls: Calls,
  stream: string,
  shard: PartitionId,
  place: Place,
  signal?: AbortSignal,
): Promise<string> {
  const { Type, SequenceNumber, Timestamp } = toStartingPosition(place)
  const input: GetShardIteratorInput = {
    StreamName: stream,
    ShardId: shard,
    ShardIteratorType: Type,
    ...(SequenceNumber === undefined ? {} : { StartingSequenceNumber: SequenceNumber }),
    ...(Timestamp === undefined ? {} : { Timestamp }),
  }
  try {
    const what = { operation: `find the place in ${shard}`, topic: stream, signal }
    const { ShardIterator } = await calls.run(what, (abortSignal) =>
      client.send(new GetShardIteratorCommand(input), { abortSignal }),
    )
    if (ShardIterator !== undefined) return ShardIterator
    throw new StreamError('unavailable', `no iterator for ${shard} of topic "${stream}"`)
  } catch (error) {
    throw notYet(error, place)
  }
}

/** The error of a place; where it is a time that by the service's clock is still to come, one that goes by. */
export function notYet(error: unknown, place: Place): unknown {
  if (place.kind !== 'time' || !(error instanceof StreamError) || !isRefused(error.cause)) return error
  return new StreamError('unavailable', error.message, { cause: error.cause })
}
