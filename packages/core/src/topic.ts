import type { Limits, Position, TopicOrder } from '@sluice/driver'
import type { Consumer, ConsumerOptions } from './api/consumer.ts'
import type { ReadMessage } from './api/message.ts'
import type { OutgoingMessage, Producer, ProducerOptions, Receipt, SendOptions, SendResult } from './api/producer.ts'
import type { ReadOptions, Topic, TopicOptions } from './api/topic.ts'
import type { Codec } from './codec.ts'
import { json } from './codecs.ts'
import { producerOptions, readOptions, topicOptions } from './option-kinds.ts'
import { checkArgument, checkOptions, name as nameKind } from './options.ts'
import type { Session } from './session.ts'
import { ValueFormat } from './values.ts'

/** A handle on one topic. Holds no connection of its own: the session opens, shares and closes. */
export class TopicHandle<Out, In = Out> implements Topic<Out, In> {
  readonly name: string
  readonly #session: Session
  readonly #format: ValueFormat<In, Out>
  readonly #options: TopicOptions<Out, In>
  #shared: Producer<In> | undefined

  constructor(name: string, options: TopicOptions<Out, In>, session: Session) {
    checkArgument('topic', 'its name', name, nameKind)
    checkOptions(`topic "${name}"`, options, topicOptions)
    this.name = name
    this.#options = options
    this.#session = session
    // The limit holds for all that send to the topic here, also for workers that know it by name only.
    session.rateOf(name, options)
    const codec = options.codec ?? session.deps.codec ?? json
    this.#format = new ValueFormat<In, Out>(codec as Codec<In>, options.schema)
  }

  async send(message: OutgoingMessage<In>, options?: SendOptions): Promise<Receipt> {
    return this.#producer().send(message, options)
  }

  async sendAll(messages: readonly OutgoingMessage<In>[], options?: SendOptions): Promise<readonly SendResult[]> {
    return this.#producer().sendAll(messages, options)
  }

  producer(options: ProducerOptions = {}): Producer<In> {
    // Checked before the connection's own options are added to them.
    checkOptions(`a producer of topic "${this.name}"`, options, producerOptions)
    return this.#session.producer(this.name, this.#options, this.#format, options)
  }

  consumer(options: ConsumerOptions<Out>): Consumer<Out> {
    return this.#session.consumer(this.name, this.#options, this.#format, options)
  }

  read(options: ReadOptions = {}): AsyncIterable<ReadMessage<Out>> {
    checkOptions(`reading topic "${this.name}"`, options, readOptions)
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

  #producer(): Producer<In> {
    this.#shared ??= this.producer()
    return this.#shared
  }
}
