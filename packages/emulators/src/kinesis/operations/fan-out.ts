import { placeOf, positionTypes } from '../positions.ts'
import { limitExceeded, notFound } from '../service-error.ts'
import { flag, readRequest, required, structure, text, time } from '../shape.ts'
import type { Subscribed, Subscriptions } from '../subscription.ts'
import { consumerOf } from './consumers.ts'
import { checkDryRun, consumerArn, sequenceNumber, shardId } from './operation.ts'
import type { Call } from './operation.ts'

const shape = structure({
  ConsumerARN: required(consumerArn),
  ShardId: required(shardId),
  StartingPosition: required(
    structure({
      Type: required(text<(typeof positionTypes)[number]>({ oneOf: positionTypes })),
      SequenceNumber: sequenceNumber,
      Timestamp: time(),
    }),
  ),
  DryRun: flag(),
})

/** `SubscribeToShard`: what is to be read, once everything about it is right. */
export function subscribe(body: unknown, call: Call, subscriptions: Subscriptions): Subscribed {
  const input = readRequest(shape, body)
  const { service, region } = call
  const { stream, consumer } = consumerOf(call, { ConsumerARN: input.ConsumerARN })
  if (!stream.usable || consumer.status !== 'ACTIVE')
    throw notFound(`Consumer ${consumer.name}, under stream ${stream.name} is not active.`)
  const shard = service.trimmedShard(region, stream, input.ShardId)
  const { Type: type, SequenceNumber: sequence, Timestamp: timeMs } = input.StartingPosition
  const place = placeOf(stream, shard, { type, sequence, timeMs, call: call.name }, service.nowMs)
  checkDryRun(input.DryRun)
  const calls = service.quotas.fanOut(shard, consumer.name)?.calls
  if (calls?.has(1) === false) throw limitExceeded(`Rate exceeded for consumer ${consumer.arn} and shard ${shard.id}.`)
  calls?.take(1)
  return { call, stream, shard, consumer, place, replaced: subscriptions.begin(consumer, shard) }
}
