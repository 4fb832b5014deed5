import { integer, required, structure, text, time } from '../shape.ts'
import { invalid, invalidArgument, limitExceeded } from '../service-error.ts'
import type { Shard } from '../shard.ts'
import type { Stream } from '../stream.ts'
import { byNameOrArn, hashKey, nextToken, operation, shardId } from './operation.ts'
import type { Operations } from './operation.ts'
import { pageOf, tokenOf } from './pages.ts'
import { showShard, showShards } from './show.ts'
import { active, checkShardLimit, update } from './states.ts'

/** `UpdateShardCount` calls of a stream in 24 hours. Source: API reference, `UpdateShardCount`. */
const changesADay = 10

/** Source: API reference, `ListShards`, `MaxResults`. */
const mostShown = 1_000

const filterTypes = [
  'AFTER_SHARD_ID',
  'AT_TRIM_HORIZON',
  'FROM_TRIM_HORIZON',
  'AT_LATEST',
  'AT_TIMESTAMP',
  'FROM_TIMESTAMP',
] as const

const shardFilter = structure({
  Type: required(text<(typeof filterTypes)[number]>({ oneOf: filterTypes })),
  ShardId: shardId,
  Timestamp: time(),
})

interface ShardFilter {
  readonly Type: (typeof filterTypes)[number]
  readonly ShardId?: string | undefined
  readonly Timestamp?: number | undefined
}

export const shardOperations: Operations = {
  ListShards: operation(
    {
      ...byNameOrArn,
      NextToken: nextToken,
      ExclusiveStartShardId: shardId,
      MaxResults: integer({ min: 1, max: 10_000 }),
      StreamCreationTimestamp: time(),
      ShardFilter: shardFilter,
    },
    (input, call) => {
      const { service, region } = call
      if (input.NextToken !== undefined && (input.StreamName ?? input.ExclusiveStartShardId) !== undefined)
        throw invalidArgument('NextToken and StreamName cannot be provided together.')
      const page = input.NextToken === undefined ? undefined : pageOf(call, input.NextToken)
      const stream = service.stream(region, page === undefined ? input : { StreamName: page.stream })
      service.trim(region, stream)
      const filter = page === undefined ? input.ShardFilter : (JSON.parse(page.filter) as ShardFilter | undefined)
      const after = page?.after ?? input.ExclusiveStartShardId ?? ''
      const shards = filtered(stream, filter, service.nowMs).filter(({ id }) => id > after)
      const shown = shards.slice(0, Math.min(input.MaxResults ?? mostShown, mostShown))
      const next = { stream: stream.name, after: shown.at(-1)?.id ?? '', filter: JSON.stringify(filter ?? null) }
      return {
        Shards: shown.map(showShard),
        ...(shown.length < shards.length ? { NextToken: tokenOf(call, next) } : {}),
      }
    },
  ),

  SplitShard: operation(
    { ...byNameOrArn, ShardToSplit: required(shardId), NewStartingHashKey: required(hashKey) },
    (input, call) => {
      const stream = provisioned(active(call.service.stream(call.region, input)))
      const at = BigInt(input.NewStartingHashKey)
      stream.checkSplit(input.ShardToSplit, at)
      checkShardLimit(call, 1)
      stream.planned++
      return update(call, input, () => stream.split(input.ShardToSplit, at, call.service.nowMs))
    },
  ),

  MergeShards: operation(
    { ...byNameOrArn, ShardToMerge: required(shardId), AdjacentShardToMerge: required(shardId) },
    (input, call) => {
      const stream = provisioned(active(call.service.stream(call.region, input)))
      const { ShardToMerge: shard, AdjacentShardToMerge: adjacent } = input
      stream.checkMerge(shard, adjacent)
      return update(call, input, () => stream.merge(shard, adjacent, call.service.nowMs))
    },
  ),

  UpdateShardCount: operation(
    {
      ...byNameOrArn,
      TargetShardCount: required(integer({ min: 1 })),
      ScalingType: required(text({ oneOf: ['UNIFORM_SCALING'] })),
    },
    (input, call) => {
      const { service, region } = call
      const stream = provisioned(active(service.stream(region, input)))
      const [current, target] = [stream.open.length, input.TargetShardCount]
      checkScaling(stream, target, service.nowMs)
      if (target > current) checkShardLimit(call, target - current)
      stream.shardCountChanges.push(service.nowMs)
      stream.planned = target
      update(call, input, () => stream.reshape(target, service.nowMs))
      return {
        StreamName: stream.name,
        StreamARN: stream.origin.arn,
        CurrentShardCount: current,
        TargetShardCount: target,
      }
    },
  ),
}

/** Shards that a filter lets through. Source: API reference, `ShardFilter`. */
function filtered(stream: Stream, filter: ShardFilter | undefined | null, nowMs: number): readonly Shard[] {
  const shards = showShards(stream)
  if (filter === undefined || filter === null) return shards
  const horizonMs = nowMs - stream.retentionHours * 3_600_000
  const timeMs = Math.max(filter.Timestamp ?? Number.NaN, Math.max(stream.origin.madeAtMs, horizonMs))
  switch (filter.Type) {
    case 'AFTER_SHARD_ID':
      if (filter.ShardId === undefined) throw invalidArgument('ShardId is required for AFTER_SHARD_ID.')
      return shards.filter(({ id }) => id > (filter.ShardId ?? ''))
    case 'AT_LATEST':
      return shards.filter(({ open }) => open)
    case 'AT_TRIM_HORIZON':
      return shards.filter((shard) => wasOpen(shard, Math.max(stream.origin.madeAtMs, horizonMs)))
    case 'FROM_TRIM_HORIZON':
      return shards
    case 'AT_TIMESTAMP':
      checkTime(filter, nowMs)
      return shards.filter((shard) => wasOpen(shard, timeMs))
    case 'FROM_TIMESTAMP':
      checkTime(filter, nowMs)
      return shards.filter(({ closedAtMs }) => closedAtMs === undefined || closedAtMs >= timeMs)
  }
}

function checkTime({ Type, Timestamp }: ShardFilter, nowMs: number): void {
  if (Timestamp === undefined) throw invalidArgument(`Timestamp is required for ${Type}.`)
  if (Timestamp > nowMs) throw invalidArgument(`Timestamp in ShardFilter cannot be in the future.`)
}

/** The first shards of a stream come a little later than it; of a time before that they are what was open. */
function wasOpen({ origin, closedAtMs }: Shard, timeMs: number): boolean {
  const made = origin.parents.length === 0 ? -Infinity : origin.madeAtMs
  return made <= timeMs && (closedAtMs === undefined || closedAtMs > timeMs)
}

function provisioned(stream: Stream): Stream {
  if (stream.mode === 'PROVISIONED') return stream
  throw invalid(
    `Request is invalid. This operation is not supported for stream ${stream.name}, which is in the on-demand capacity mode.`,
  )
}

function checkScaling(stream: Stream, target: number, nowMs: number): void {
  const current = stream.open.length
  const counts = `Current open shard count: ${current} Target shard count: ${target}`
  if (target > current * 2)
    throw invalidArgument(`UpdateShardCount cannot scale up over double your current open shard count. ${counts}`)
  if (target < current / 2)
    throw invalidArgument(`UpdateShardCount cannot scale down below half your current open shard count. ${counts}`)
  if (target === current)
    throw invalidArgument(`Target shard count must be different from the current open shard count. ${counts}`)
  stream.shardCountChanges = stream.shardCountChanges.filter((atMs) => atMs > nowMs - 24 * 3_600_000)
  if (stream.shardCountChanges.length >= changesADay)
    throw limitExceeded(
      `${stream.title} has been scaled ${changesADay} times in the last 24 hours, which is the most there may be.`,
    )
}
