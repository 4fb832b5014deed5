import { flag, integer, required, structure, text, textMap } from '../shape.ts'
import { inUse, invalid, invalidArgument, limitExceeded } from '../service-error.ts'
import type { Stream, StreamMode } from '../stream.ts'
import { byArn, byNameOrArn, nextToken, operation, shardId, streamName } from './operation.ts'
import type { Call, Operations } from './operation.ts'
import { pageOf, tokenOf } from './pages.ts'
import { showShard, showShards, showStream, showWarmThroughput } from './show.ts'
import { active, checkShardLimit, openShards, update } from './states.ts'
import { setTags, tagRules } from './tags.ts'

const mode = structure({
  StreamMode: required(text<StreamMode>({ oneOf: ['PROVISIONED', 'ON_DEMAND'] })),
})
const maxRecordKiB = integer({ min: 1_024, max: 10_240 })
const strategy = text({ oneOf: ['USER_PARTITION_KEY', 'AUTO'] })
const warmThroughput = integer({ min: 0 })
const encryption = text({ oneOf: ['NONE', 'KMS'] })

/** Shards of an on-demand stream that is made. Source: Developer Guide, "Choose the data stream capacity mode". */
const onDemandShards = 4
/** On-demand streams of an account, if nobody asked for more; streams that are made at a time; changes of a mode in 24 hours. */
const [onDemandLimit, mostMaking, modeChangesADay] = [50, 5, 2]
/** What a list shows at most, whatever it is asked for. Source: API reference, `DescribeStream` and `ListStreams`. */
const mostShown = 100

export const streamOperations: Operations = {
  CreateStream: operation(
    {
      StreamName: required(streamName),
      ShardCount: integer({ min: 1, max: 100_000 }),
      StreamModeDetails: mode,
      Tags: textMap({ max: 200 }, tagRules.key, tagRules.value),
      WarmThroughputMiBps: warmThroughput,
      MaxRecordSizeInKiB: maxRecordKiB,
      RecordDistributionStrategy: strategy,
    },
    (input, call) => {
      const { service, region } = call
      // Where neither is said it is on demand. Source: LocalStack's tests against the service, test_create_stream_without_shard_count.
      const mode = input.StreamModeDetails?.StreamMode ?? (input.ShardCount === undefined ? 'ON_DEMAND' : 'PROVISIONED')
      const onDemand = mode === 'ON_DEMAND'
      if (onDemand && input.ShardCount !== undefined)
        throw invalid('Request is invalid. ShardCount is not supported for a stream with the on-demand capacity mode.')
      if (!onDemand && input.ShardCount === undefined)
        throw invalidArgument('ShardCount is required for a stream with the provisioned capacity mode.')
      if (!onDemand && input.RecordDistributionStrategy === 'AUTO') throw autoNeedsOnDemand()
      const shards = input.ShardCount ?? onDemandShards
      if (service.find(region, input.StreamName) !== undefined)
        throw inUse(`Stream ${input.StreamName} under account ${service.options.account} already exists.`)
      checkShardLimit(call, shards)
      checkMaking(call, onDemand)
      const tags = new Map<string, string>()
      if (input.Tags !== undefined) setTags(tags, input.Tags)
      const stream = service.make(region, input.StreamName)
      stream.planned = shards
      stream.mode = mode
      stream.spread = input.RecordDistributionStrategy === 'AUTO'
      stream.maxRecordKiB = input.MaxRecordSizeInKiB ?? stream.maxRecordKiB
      stream.warmThroughputMiB = input.WarmThroughputMiBps
      for (const [key, value] of tags) stream.tags.set(key, value)
      service.changed(region, stream)
      service.later.after(service.options.stateMs, () => {
        if (stream.status !== 'CREATING') return
        stream.begin(service.nowMs)
        service.changed(region, stream)
      })
      return undefined
    },
  ),

  DeleteStream: operation({ ...byNameOrArn, EnforceConsumerDeletion: flag() }, (input, { service, region }) => {
    const stream = service.stream(region, input)
    if (stream.consumers.size > 0 && input.EnforceConsumerDeletion !== true)
      throw inUse(
        `Stream ${stream.name} under account ${service.options.account} has consumers registered; deregister them or enforce their deletion.`,
      )
    stream.status = 'DELETING'
    service.changed(region, stream)
    service.later.after(service.options.stateMs, () => service.remove(region, stream))
    return undefined
  }),

  DescribeStream: operation(
    { ...byNameOrArn, Limit: integer({ min: 1, max: 10_000 }), ExclusiveStartShardId: shardId },
    (input, { service, region }) => {
      const stream = service.stream(region, input)
      service.trim(region, stream)
      const shards = showShards(stream).filter(({ id }) => id > (input.ExclusiveStartShardId ?? ''))
      const page = shards.slice(0, Math.min(input.Limit ?? mostShown, mostShown))
      return {
        StreamDescription: {
          ...showStream(stream),
          Shards: page.map(showShard),
          HasMoreShards: page.length < shards.length,
        },
      }
    },
  ),

  DescribeStreamSummary: operation(byNameOrArn, (input, { service, region }) => {
    const stream = service.stream(region, input)
    return {
      StreamDescriptionSummary: {
        ...showStream(stream),
        OpenShardCount: stream.open.length,
        ConsumerCount: stream.consumers.size,
        MaxRecordSizeInKiB: stream.maxRecordKiB,
        ...(stream.mode === 'ON_DEMAND'
          ? { RecordDistributionStrategy: stream.spread ? 'AUTO' : 'USER_PARTITION_KEY' }
          : {}),
        ...(stream.warmThroughputMiB === undefined ? {} : { WarmThroughput: showWarmThroughput(stream) }),
      },
    }
  }),

  ListStreams: operation(
    { Limit: integer({ min: 1, max: 10_000 }), ExclusiveStartStreamName: streamName, NextToken: nextToken },
    (input, call) => {
      const after =
        input.NextToken === undefined ? (input.ExclusiveStartStreamName ?? '') : pageOf(call, input.NextToken).after
      const streams = call.service.streamsOf(call.region).filter(({ name }) => name > after)
      const page = streams.slice(0, Math.min(input.Limit ?? mostShown, mostShown))
      const more = page.length < streams.length
      return {
        StreamNames: page.map(({ name }) => name),
        HasMoreStreams: more,
        ...(more ? { NextToken: tokenOf(call, { after: page.at(-1)?.name ?? '', stream: '', filter: '' }) } : {}),
        StreamSummaries: page.map((stream) => {
          const { StreamName, StreamARN, StreamStatus, StreamModeDetails, StreamCreationTimestamp } = showStream(stream)
          return { StreamName, StreamARN, StreamStatus, StreamModeDetails, StreamCreationTimestamp }
        }),
      }
    },
  ),

  DescribeLimits: operation({}, (_, { service, region }) => {
    const streams = service.streamsOf(region)
    return {
      ShardLimit: service.options.shardLimit,
      OpenShardCount: openShards(streams),
      OnDemandStreamCount: streams.filter((stream) => stream.mode === 'ON_DEMAND').length,
      OnDemandStreamCountLimit: onDemandLimit,
    }
  }),

  UpdateStreamMode: operation(
    { ...byArn, StreamModeDetails: required(mode), WarmThroughputMiBps: warmThroughput },
    (input, call) => {
      checkModeChange(call, call.service.stream(call.region, input))
      return update(call, input, (stream) => {
        stream.mode = input.StreamModeDetails.StreamMode
        stream.warmThroughputMiB = input.WarmThroughputMiBps ?? stream.warmThroughputMiB
        if (stream.mode === 'PROVISIONED') stream.spread = false
      })
    },
  ),

  UpdateMaxRecordSize: operation({ ...byArn, MaxRecordSizeInKiB: required(maxRecordKiB) }, (input, call) =>
    update(call, input, (stream) => (stream.maxRecordKiB = input.MaxRecordSizeInKiB)),
  ),

  UpdateStreamRecordDistributionStrategy: operation(
    { ...byArn, RecordDistributionStrategy: required(strategy) },
    (input, { service, region }) => {
      const stream = active(service.stream(region, input))
      if (stream.mode === 'PROVISIONED' && input.RecordDistributionStrategy === 'AUTO') throw autoNeedsOnDemand()
      stream.spread = input.RecordDistributionStrategy === 'AUTO'
      service.changed(region, stream)
      return undefined
    },
  ),

  UpdateStreamWarmThroughput: operation(
    { ...byNameOrArn, WarmThroughputMiBps: required(warmThroughput) },
    (input, call) => {
      const stream = call.service.stream(call.region, input)
      update(call, input, () => (stream.warmThroughputMiB = input.WarmThroughputMiBps))
      return {
        StreamARN: stream.origin.arn,
        StreamName: stream.name,
        WarmThroughput: { TargetMiBps: input.WarmThroughputMiBps, CurrentMiBps: stream.warmThroughputMiB ?? 0 },
      }
    },
  ),

  StartStreamEncryption: operation(
    {
      ...byNameOrArn,
      EncryptionType: required(encryption),
      KeyId: required(text({ min: 1, max: 2_048 })),
    },
    (input, call) => {
      if (input.EncryptionType !== 'KMS') throw invalidArgument('EncryptionType must be KMS to start encryption.')
      return update(call, input, (stream) => (stream.keyId = input.KeyId))
    },
  ),

  StopStreamEncryption: operation(
    {
      ...byNameOrArn,
      EncryptionType: required(encryption),
      KeyId: required(text({ min: 1, max: 2_048 })),
    },
    (input, call) => update(call, input, (stream) => (stream.keyId = undefined)),
  ),
}

function autoNeedsOnDemand(): Error {
  return invalidArgument(
    'RecordDistributionStrategy AUTO is supported for streams with the on-demand capacity mode only.',
  )
}

/** Source: API reference, `CreateStream`. */
function checkMaking({ service, region }: Call, onDemand: boolean): void {
  if (!service.options.quotas) return
  const streams = service.streamsOf(region)
  const making = streams.filter(({ status }) => status === 'CREATING').length
  if (making >= mostMaking)
    throw limitExceeded(`There are ${making} streams in the CREATING state, which is the most there may be at a time.`)
  const count = streams.filter(({ mode }) => mode === 'ON_DEMAND').length
  if (onDemand && count >= onDemandLimit)
    throw limitExceeded(`There are ${count} on-demand streams, which is the most the account may have.`)
}

/** Source: API reference, `UpdateStreamMode`. */
function checkModeChange({ service }: Call, stream: Stream): void {
  if (!service.options.quotas) return
  const { nowMs } = service
  stream.modeChanges = stream.modeChanges.filter((atMs) => atMs > nowMs - 24 * 3_600_000)
  if (stream.modeChanges.length >= modeChangesADay)
    throw limitExceeded(
      `${stream.title} has changed its mode ${modeChangesADay} times in the last 24 hours, which is the most there may be.`,
    )
  active(stream)
  stream.modeChanges.push(nowMs)
}
