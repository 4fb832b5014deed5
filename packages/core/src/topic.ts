import { StreamError } from '@sluice/driver'
import type { Limits, Position, TopicOrder } from '@sluice/driver'
import type {
  Consumer,
  ConsumerOptions,
  OutgoingMessage,
  Producer,
  ProducerOptions,
  ReadMessage,
  ReadOptions,
  Receipt,
  SendOptions,
  SendResult,
  Topic,
  TopicOptions,
} from './api.ts'
import type { Codec } from './codec.ts'
import { json } from './codecs.ts'
import type { Session } from './session.ts'
import { ValueFormat } from './values.ts'

/** A handle on one topic. Holds no connection of its own: the session opens, shares and closes. */
export class TopicHandle<T> implements Topic<T> {
  readonly name: string
  readonly #session: Session
  readonly #format: ValueFormat<T>
  readonly #options: TopicOptions<T>
  #shared: Producer<T> | undefined

  constructor(name: string, options: TopicOptions<T>, session: Session) {
    this.name = name
    this.#options = options
    this.#session = session
    // The limit holds for all that send to the topic here, also for workers that know it by name only.
    session.rateOf(name, options)
    this.#format = new ValueFormat<T>(options.codec ?? ((session.deps.codec ?? json) as Codec<T>), options.schema)
  }

  async send(message: OutgoingMessage<T>, options?: SendOptions): Promise<Receipt> {
    return this.#producer().send(message, options)
  }

  async sendAll(messages: readonly OutgoingMessage<T>[], options?: SendOptions): Promise<readonly SendResult[]> {
    return this.#producer().sendAll(messages, options)
  }

  producer(options: ProducerOptions = {}): Producer<T> {
    return this.#session.producer(this.name, this.#options, this.#format, options)
  }

  consumer(options: ConsumerOptions<T>): Consumer<T> {
    if (typeof options.group !== 'string' || options.group === '') {
      throw new StreamError(
        'invalid-argument',
        `a consumer of topic "${this.name}" needs a group name; to look without a group, use topic.read()`,
      )
    }
    return this.#session.consumer(this.name, this.#options, this.#format, options)
  }

  read(options: ReadOptions = {}): AsyncIterable<ReadMessage<T>> {
    return this.#session.read(this.name, this.#options, this.#format, options)
  }

  async comparePositions(a: Position, b: Position): Promise<number> {
    const topic = await this.#session.openTopic(this.name, this.#options)
    return topic.comparePositions(a, b)
  }

  async limits(): Promise<Limits> {
    return (await this.#session.openTopic(this.name, this.#options)).limits
  }

  async order(): Promise<TopicOrder> {
    return (await this.#session.openTopic(this.name, this.#options)).order
  }

  #producer(): Producer<T> {
    this.#shared ??= this.producer()
    return this.#shared
  }
}
