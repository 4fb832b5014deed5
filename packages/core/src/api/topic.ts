import type { Limits, Position, TopicOrder, TopicSpec } from '@sluice/driver'
import type { Codec } from '../codec.ts'
import type { StandardSchema } from '../standard-schema.ts'
import type { Consumer, ConsumerOptions, Start } from './consumer.ts'
import type { ReadMessage } from './message.ts'
import type { OutgoingMessage, Producer, ProducerOptions, Receipt, SendOptions, SendResult } from './producer.ts'

/**
 * What a topic's values are, and how the topic should be. It is made like that if it has to be made; if it exists with
 * another `order` or number of `partitions`, its first use rejects with `conflict`.
 */
export interface TopicOptions<Out, In = Out> extends TopicSpec {
  /**
   * Checks values and types them. Any Standard Schema: zod, valibot, arktype. A send takes the schema's input: what does
   * not fit is refused with `invalid-argument`, what fits is stored as it was given, not as the schema's output. A receive
   * takes what the codec decoded through the schema and gives its output, so that transforms and defaults are applied
   * once, there; what does not fit is poison (see {@link ConsumerOptions.onPoison}). The input must be what the codec
   * gives back: with JSON a date comes back as text, for which the schema is `z.coerce.date()`, not `z.date()`.
   */
  readonly schema?: StandardSchema<In, Out>
  /** Turns the values that are sent into bytes and back, before the schema sees them. Default: what `connect` was given, else JSON. */
  readonly codec?: Codec<In> | Codec<unknown>
  /** Makes the topic on first use when it does not exist. Default: what `connect` was told. */
  readonly create?: boolean
  /** The most that this process sends to the topic, in all its producers together. Default: no limit. */
  readonly rateLimit?: RateLimit
}

/** A ceiling on what is asked of the backend, repeated tries included. Both may be given; a burst of one second's worth is let through. */
export interface RateLimit {
  readonly messagesPerSecond?: number
  /** Bytes as the backend counts them: bodies, keys and headers. */
  readonly bytesPerSecond?: number
}

/** A topic: where records are sent to and read from. Sends take `In`, receivers get `Out`; they differ where a schema transforms. */
export interface Topic<Out, In = Out> {
  readonly name: string
  /** Sends through the topic's shared producer, as {@link Producer.send}. Resolves when the record is durable. */
  send(message: OutgoingMessage<In>, options?: SendOptions): Promise<Receipt>
  /** Sends each through the shared producer; outcomes are index-aligned and the call does not reject for single records. */
  sendAll(messages: readonly OutgoingMessage<In>[], options?: SendOptions): Promise<readonly SendResult[]>
  /** A producer of its own, with its own buffers and lanes. */
  producer(options?: ProducerOptions): Producer<In>
  /** A member of a consumer group; starts reading with its first `run` or iteration. */
  consumer(options: ConsumerOptions<Out>): Consumer<Out>
  /**
   * Reads without a group and without settling: for looking. Ends when the loop is left, or at {@link ReadOptions.follow};
   * throws `aborted` once its signal has, `closed` once the connection is.
   */
  read(options?: ReadOptions): AsyncIterable<ReadMessage<Out>>
  /** Orders two positions of one partition: negative when `a` comes first. `unsupported` without comparable positions. */
  comparePositions(a: Position, b: Position): Promise<number>
  /** The limits in force, as the backend tells them. */
  limits(): Promise<Limits>
  /** Whether records of a key keep their order. */
  order(): Promise<TopicOrder>
}

/** How `topic.read` reads. */
export interface ReadOptions {
  /** Default `earliest`. */
  readonly from?: Start
  /** Waits for new messages at the end. Default false: ends once everything stored when it began was read. */
  readonly follow?: boolean
  /** Ends the read: the loop throws `aborted`. */
  readonly signal?: AbortSignal
}
