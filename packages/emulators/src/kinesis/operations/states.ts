import { inUse, limitExceeded } from '../service-error.ts'
import type { StreamReference } from '../service.ts'
import type { Stream } from '../stream.ts'
import type { Call } from './operation.ts'

/** Changes a stream that is active; it is `UPDATING` for a while, and changed after it. */
export function update({ service, region }: Call, input: StreamReference, change: (stream: Stream) => void): undefined {
  const stream = active(service.stream(region, input))
  stream.status = 'UPDATING'
  service.changed(region, stream)
  service.later.after(service.options.stateMs, () => {
    if (stream.status !== 'UPDATING') return
    try {
      change(stream)
    } finally {
      stream.status = 'ACTIVE'
      service.changed(region, stream)
    }
  })
  return undefined
}

/** Throws what the service answers when a stream is not active and would have to be. */
export function active(stream: Stream): Stream {
  if (stream.status === 'ACTIVE') return stream
  throw inUse(
    `Stream ${stream.name} under account ${stream.origin.account} not ACTIVE, instead in state ${stream.status}`,
  )
}

/** Throws when the account would have more open shards than it may. */
export function checkShardLimit({ service, region }: Call, more: number): void {
  const { account, shardLimit } = service.options
  const open = openShards(service.streamsOf(region))
  if (open + more <= shardLimit) return
  throw limitExceeded(
    `This request would exceed the shard limit for the account ${account} in ${region}. Current shard count for the account: ${open}. Limit: ${shardLimit}. Number of additional shards that would have resulted from this request: ${more}. Refer to the AWS Service Limits page (https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.`,
  )
}

/** Open shards that count against the limit, those that are being made too. */
export function openShards(streams: readonly Stream[]): number {
  return streams.reduce(
    (sum, stream) => sum + (stream.mode === 'PROVISIONED' ? Math.max(stream.open.length, stream.planned) : 0),
    0,
  )
}
