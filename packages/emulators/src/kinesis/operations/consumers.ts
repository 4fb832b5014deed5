import { inUse, invalidArgument, limitExceeded, notFound } from '../service-error.ts'
import { integer, required, textMap, time } from '../shape.ts'
import type { FanOutConsumer, Stream } from '../stream.ts'
import { byArn, consumerArn, consumerName, nextToken, operation, streamArn } from './operation.ts'
import type { Call, Operations, Output } from './operation.ts'
import { pageOf, tokenOf } from './pages.ts'
import { setTags, tagRules } from './tags.ts'

/** Registered consumers of a stream, and how many may be made at a time. Source: API reference, `RegisterStreamConsumer`. */
const [mostConsumers, mostAtOnce] = [20, 5]

const reference = { StreamARN: streamArn, ConsumerName: consumerName, ConsumerARN: consumerArn }

interface Reference {
  readonly StreamARN?: string | undefined
  readonly ConsumerName?: string | undefined
  readonly ConsumerARN?: string | undefined
}

export const consumerOperations: Operations = {
  RegisterStreamConsumer: operation(
    {
      ...byArn,
      ConsumerName: required(consumerName),
      Tags: textMap({ max: 200 }, tagRules.key, tagRules.value),
    },
    (input, { service, region }) => {
      const stream = service.usableStream(region, input)
      const { ConsumerName: name } = input
      if (stream.consumers.has(name))
        throw inUse(`Consumer ${name} under stream ${stream.name} already exists for account ${stream.origin.account}.`)
      const making = [...stream.consumers.values()].filter(({ status }) => status === 'CREATING').length
      if (stream.consumers.size >= mostConsumers || making >= mostAtOnce)
        throw limitExceeded(
          `${stream.title} has ${stream.consumers.size} consumers, of which ${making} are being registered; there may be ${mostConsumers} and ${mostAtOnce}.`,
        )
      const madeAtMs = service.nowMs
      const arn = `${stream.origin.arn}/consumer/${name}:${Math.floor(madeAtMs / 1_000)}`
      const tags = new Map<string, string>()
      if (input.Tags !== undefined) setTags(tags, input.Tags)
      const consumer: FanOutConsumer = { name, arn, madeAtMs, status: 'CREATING', tags, policy: undefined }
      stream.consumers.set(name, consumer)
      service.changed(region, stream)
      service.later.after(service.options.stateMs, () => {
        if (consumer.status !== 'CREATING') return
        consumer.status = 'ACTIVE'
        service.changed(region, stream)
      })
      return { Consumer: { ...showConsumer(consumer), ConsumerStatus: 'CREATING' } }
    },
  ),

  DescribeStreamConsumer: operation(reference, (input, call) => {
    const { stream, consumer } = consumerOf(call, input)
    return { ConsumerDescription: { ...showConsumer(consumer), StreamARN: stream.origin.arn } }
  }),

  DeregisterStreamConsumer: operation(reference, (input, call) => {
    const { service, region } = call
    const { stream, consumer } = consumerOf(call, input)
    if (consumer.status === 'DELETING') return undefined
    consumer.status = 'DELETING'
    service.changed(region, stream)
    service.later.after(service.options.stateMs, () => {
      if (stream.consumers.get(consumer.name) === consumer) stream.consumers.delete(consumer.name)
      service.changed(region, stream)
      for (const shard of stream.shards.values()) shard.wake()
    })
    return undefined
  }),

  ListStreamConsumers: operation(
    {
      ...byArn,
      NextToken: nextToken,
      MaxResults: integer({ min: 1, max: 10_000 }),
      StreamCreationTimestamp: time(),
    },
    (input, call) => {
      const stream = call.service.stream(call.region, input)
      const before = input.NextToken === undefined ? undefined : pageOf(call, input.NextToken)
      if (before !== undefined && before.stream !== stream.name) throw invalidArgument('Invalid NextToken.')
      const after = before?.after ?? ''
      const all = [...stream.consumers.values()]
        .filter(({ name }) => name > after)
        .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      const page = all.slice(0, input.MaxResults ?? 100)
      const next = { stream: stream.name, after: page.at(-1)?.name ?? '', filter: '' }
      return {
        Consumers: page.map(showConsumer),
        ...(page.length < all.length ? { NextToken: tokenOf(call, next) } : {}),
      }
    },
  ),
}

/** The consumer that a request names, and its stream. */
export function consumerOf(
  { service, region }: Call,
  input: Reference,
): {
  readonly stream: Stream
  readonly consumer: FanOutConsumer
} {
  const { StreamARN, ConsumerName, ConsumerARN } = input
  const streamArn = ConsumerARN?.replace(/\/consumer\/.*$/, '') ?? StreamARN
  const name = /\/consumer\/([^:]+):/.exec(ConsumerARN ?? '')?.[1] ?? ConsumerName
  if (streamArn === undefined || name === undefined)
    throw invalidArgument('Either the ConsumerARN, or the StreamARN and the ConsumerName must be provided.')
  const stream = service.stream(region, { StreamARN: streamArn })
  const consumer = stream.consumers.get(name)
  if (consumer === undefined || (ConsumerARN !== undefined && consumer.arn !== ConsumerARN))
    throw notFound(`Consumer ${name}, under stream ${stream.name} not found.`)
  return { stream, consumer }
}

function showConsumer({ name, arn, status, madeAtMs }: FanOutConsumer): Output & object {
  return {
    ConsumerName: name,
    ConsumerARN: arn,
    ConsumerStatus: status,
    ConsumerCreationTimestamp: new Date(madeAtMs),
  }
}
