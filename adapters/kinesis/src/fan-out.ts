import {
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis'
import type { ConsumerDescription, SubscribeToShardEventStream } from '@aws-sdk/client-kinesis'
import { sleep, StreamError } from '@sluice/driver'
import type { PartitionId } from '@sluice/driver'
import type { Subscriber } from './clients.ts'
import { isInUse, isLimitExceeded, isMissing, toStreamError } from './errors.ts'
import { notYet, toStartingPosition } from './iterators.ts'
import { plainName } from './names.ts'
import type { Place } from './places.ts'
import type { Fetched, ReadingContext, ShardFetcher } from './reading.ts'
import type { StreamInfo, StreamsContext } from './streams.ts'

/** A subscription ends after five minutes; it is made anew before that. */
const renewMs = 285_000
/** There is an event about every five seconds, also where there are no records. */
const silenceMs = 12_000
/** How soon to look again for a consumer, in milliseconds: at first, and at last. */
const lookEveryMs = 250
const mostWaitMs = 2_000
/** Five may be registered at once, and each takes some seconds: after that, it is no rate that is used up. */
const fullMs = 30_000
/** Of a consumer. */
const longestName = 128

const nothing: Fetched = { records: [], atEnd: false, nothingMore: false, restMs: 0 }

/** The consumer of a group. */
export interface FanOutConsumer {
  readonly arn: string
  /** Registers it again where it is gone; gives its ARN. */
  readonly ensure: (signal: AbortSignal) => Promise<string>
  readonly subscriber: () => Subscriber
}

/** Has a shard's records sent by SubscribeToShard: two megabytes a second of its own for each group. */
export class FanOut implements ShardFetcher {
  readonly #context: ReadingContext
  readonly #partition: PartitionId
  readonly #ensure: () => Promise<string>
  /** The consumer's ARN; `undefined`: it was gone, and is to be registered again. */
  #consumer: string | undefined
  readonly #subscriber: Subscriber
  readonly #closing = new AbortController()
  #events: AsyncIterator<SubscribeToShardEventStream> | undefined
  /** Cuts the subscription off: over HTTP/2 by its signal, over HTTP/1.1 by its connection. */
  #cut = new AbortController()
  #sinceMs = 0
  /** Behind the last event, whether it had records or not. */
  #continuation: string | undefined
  #work: Promise<unknown> = Promise.resolve()

  constructor(context: ReadingContext, partition: PartitionId, { arn, ensure, subscriber }: FanOutConsumer) {
    this.#context = context
    this.#partition = partition
    this.#consumer = arn
    this.#ensure = () => ensure(this.#closing.signal)
    this.#subscriber = subscriber()
  }

  fetch(place: Place): Promise<Fetched> {
    const fetched = this.#fetch(place)
    this.#work = fetched.catch(() => undefined)
    return fetched
  }

  reset(): void {
    this.#events = undefined
    this.#cut.abort()
    this.#subscriber.drop()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.reset()
    await this.#work
  }

  async #fetch(place: Place): Promise<Fetched> {
    const { calls, clock, topic } = this.#context
    if (this.#events !== undefined && clock.monotonic() - this.#sinceMs > renewMs) this.reset()
    const events = (this.#events ??= await this.#subscribe(place))
    const what = { operation: `read ${this.#partition}`, topic: topic.name, signal: this.#closing.signal }
    const next = await calls.run({ ...what, timeoutMs: silenceMs, apart: true }, () => events.next()).catch(asBroken)
    if (next.done === true) {
      this.#events = undefined
      return nothing
    }
    const { SubscribeToShardEvent: event } = next.value
    if (event === undefined) {
      // Also what goes wrong comes as an event.
      const trouble: unknown = Object.values(next.value)[0]
      if (trouble instanceof Error) throw inTheirWords(toStreamError(trouble, what), this.#partition)
      return nothing
    }
    this.#continuation = event.ContinuationSequenceNumber
    return {
      records: event.Records ?? [],
      atEnd: (event.ChildShards ?? []).length > 0,
      nothingMore: event.MillisBehindLatest === 0,
      restMs: 0,
    }
  }

  async #subscribe(place: Place): Promise<AsyncIterator<SubscribeToShardEventStream>> {
    const { calls, clock, topic } = this.#context
    const StartingPosition =
      this.#continuation === undefined
        ? toStartingPosition(place)
        : { Type: 'AFTER_SEQUENCE_NUMBER' as const, SequenceNumber: this.#continuation }
    const what = { operation: `subscribe to ${this.#partition}`, topic: topic.name, signal: this.#closing.signal }
    const cut = new AbortController()
    this.#cut = cut
    this.#consumer ??= await this.#ensure()
    const ConsumerARN = this.#consumer
    try {
      const { EventStream } = await calls.run({ ...what, apart: true }, (abortSignal) =>
        this.#subscriber.client.send(
          new SubscribeToShardCommand({ ConsumerARN, ShardId: this.#partition, StartingPosition }),
          { abortSignal: AbortSignal.any([abortSignal, cut.signal]) },
        ),
      )
      this.#sinceMs = clock.monotonic()
      if (EventStream === undefined) throw new StreamError('unavailable', `${what.operation} brought no events`)
      return EventStream[Symbol.asyncIterator]()
    } catch (error) {
      // The consumer, the shard or the stream: the first can be had again.
      if (error instanceof StreamError && isMissing(error.cause)) this.#consumer = undefined
      throw error instanceof StreamError ? notYet(inTheirWords(error, this.#partition), place) : error
    }
  }
}

/** Whatever is wrong with a stream of events, another goes on where it ended. */
function asBroken(error: unknown): never {
  if (!StreamError.is(error, 'internal')) throw error
  throw new StreamError('unavailable', error.message, { cause: error.cause })
}

/** Somebody else has the subscription, or had it a moment ago: in some seconds it can be ours. */
function inTheirWords(error: StreamError, partition: PartitionId): StreamError {
  if (!isInUse(error.cause)) return error
  return new StreamError('unavailable', `${partition} has another subscription of the same consumer; trying again`, {
    cause: error.cause,
  })
}

/** The service has one name for a rate that is used up and for a stream that has as many consumers as it may. */
function takesNoMore(stream: StreamInfo, error: StreamError): StreamError {
  return new StreamError(
    'conflict',
    `stream "${stream.name}" seems to have as many consumers of enhanced fan-out as it may (20, or the account's limit); forget a group with deleteGroup, deregister one, or read with mode=polling (${error.message})`,
    { cause: error.cause, details: { topic: stream.name } },
  )
}

/** Consumers of enhanced fan-out: one for a group. */
export class FanOutConsumers {
  readonly #context: StreamsContext

  constructor(context: StreamsContext) {
    this.#context = context
  }

  /** The consumer of a group, registered where it is not, once it can subscribe. Gives its ARN. */
  async ensure(stream: StreamInfo, group: string, signal: AbortSignal): Promise<string> {
    const { clock, config } = this.#context
    const begunMs = clock.monotonic()
    const end = begunMs + config.readyTimeoutMs
    for (let waitMs = lookEveryMs; ; waitMs = Math.min(mostWaitMs, waitMs * 2)) {
      let known: ConsumerDescription | undefined
      try {
        known = await this.#describe(stream, group, signal)
        if (known?.ConsumerStatus === 'ACTIVE' && known.ConsumerARN !== undefined) return known.ConsumerARN
        if (known === undefined) await this.#register(stream, group, signal)
      } catch (error) {
        // Many members that start at once look oftener than the service allows; it goes by.
        if (!StreamError.is(error, 'throttled')) throw error
        const isFull = known === undefined && isLimitExceeded(error.cause)
        if (isFull && clock.monotonic() > begunMs + Math.min(fullMs, config.readyTimeoutMs))
          throw takesNoMore(stream, error)
        if (clock.monotonic() > end) throw error
      }
      if (clock.monotonic() > end)
        throw new StreamError('timeout', `consumer ${plainName(group, longestName)} did not become active in time`)
      await sleep(clock, waitMs, signal)
    }
  }

  /** Registers the consumer of a group, unless another member was first. */
  async #register(stream: StreamInfo, group: string, signal: AbortSignal): Promise<void> {
    const { client, calls } = this.#context
    const input = { StreamARN: stream.arn, ConsumerName: plainName(group, longestName) }
    try {
      await calls.run({ operation: 'register a consumer', topic: stream.name, group, signal }, (abortSignal) =>
        client.send(new RegisterStreamConsumerCommand(input), { abortSignal }),
      )
    } catch (error) {
      if (!(error instanceof StreamError) || !isInUse(error.cause)) throw error
    }
  }

  /** Forgets the consumer of a group, if it has one. */
  async forget(stream: StreamInfo, group: string, signal: AbortSignal): Promise<void> {
    const { client, calls } = this.#context
    const input = { StreamARN: stream.arn, ConsumerName: plainName(group, longestName) }
    if ((await this.#describe(stream, group, signal)) === undefined) return
    await calls.run({ operation: 'deregister a consumer', topic: stream.name, group, signal }, (abortSignal) =>
      client.send(new DeregisterStreamConsumerCommand(input), { abortSignal }),
    )
  }

  async #describe(stream: StreamInfo, group: string, signal: AbortSignal): Promise<ConsumerDescription | undefined> {
    const { client, calls } = this.#context
    const input = { StreamARN: stream.arn, ConsumerName: plainName(group, longestName) }
    try {
      const { ConsumerDescription } = await calls.run(
        { operation: 'describe a consumer', topic: stream.name, group, signal },
        (abortSignal) => client.send(new DescribeStreamConsumerCommand(input), { abortSignal }),
      )
      return ConsumerDescription
    } catch (error) {
      if (error instanceof StreamError && isMissing(error.cause)) return undefined
      throw error
    }
  }
}
