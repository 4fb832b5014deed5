import { once } from 'node:events'
import { StreamError } from '@sluice/driver'
import type { DriverTopic, OutgoingRecord, TransactionRecord } from '@sluice/driver'
import type { CloseOptions } from './api/cloud.ts'
import type { Consumer, ConsumerOptions, ConsumerStats } from './api/consumer.ts'
import type { Message } from './api/message.ts'
import type { OutgoingMessage } from './api/producer.ts'
import type { TopicOptions } from './api/topic.ts'
import type { Worker, WorkerOptions } from './api/worker.ts'
import { json } from './codecs.ts'
import type { Codec } from './codec.ts'
import { statsOf } from './consumer/consumer-stats.ts'
import { Delivery } from './consumer/delivery.ts'
import type { FunctionOutput, SluiceFunction } from './function.ts'
import { isOfTopic } from './of-topic.ts'
import { closeTimeoutMs, workerOptions } from './option-kinds.ts'
import { checkArgument, checkOptions, having, name, signal } from './options.ts'
import { checkLimits, prepare, withHeaders } from './producer/prepare.ts'
import type { PrepareContext } from './producer/prepare.ts'
import type { TopicProducer } from './producer/producer.ts'
import type { Session } from './session.ts'
import { kindOf, ValueFormat } from './values.ts'

/** Runs one function between two topics, as a member of the function's group. */
export class FunctionWorker<I, O> implements Worker {
  readonly name: string
  readonly #definition: SluiceFunction<I, O>
  readonly #options: WorkerOptions
  readonly #session: Session
  readonly #input: ValueFormat<unknown, I>
  readonly #output: ValueFormat<O, unknown>
  readonly #prepareContext: PrepareContext<O>
  #consumer: Consumer<I> | undefined
  #producer: TopicProducer<O> | undefined
  #transactional: boolean
  #produced = 0
  #begun = false
  #closed = false
  #closeOptions: CloseOptions | undefined
  #failure: StreamError | undefined

  constructor(definition: SluiceFunction<I, O>, options: WorkerOptions, session: Session) {
    checkArgument('worker', 'its function', definition, having('handle'))
    checkArgument('worker', "its function's name", definition.name, name)
    const of = `the worker of function "${definition.name}"`
    checkOptions(of, options, workerOptions)
    checkArgument(of, 'from', options.from, name)
    if (options.from === options.to) {
      throw new StreamError('invalid-argument', `${of}: from and to are both "${options.from}", which would never end`)
    }
    this.name = definition.name
    this.#definition = definition
    this.#options = options
    this.#session = session
    const { clock, codec = json, driver } = session.deps
    this.#input = new ValueFormat<unknown, I>(codec, definition.input)
    this.#output = new ValueFormat<O, unknown>(codec as Codec<O>, definition.output)
    this.#prepareContext = {
      topicName: options.to ?? '',
      capabilities: driver.capabilities,
      format: this.#output,
      newId: () => session.nextId(),
      now: () => clock.now(),
    }
    const { transactions } = driver.capabilities
    if (options.delivery === 'exactly-once' && !transactions) throw this.#noTransactions(`the backend "${driver.name}"`)
    this.#transactional = options.delivery === undefined ? transactions : options.delivery === 'exactly-once'
  }

  get delivery(): 'exactly-once' | 'at-least-once' {
    return this.#transactional ? 'exactly-once' : 'at-least-once'
  }

  async run(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    checkOptions<{ signal: AbortSignal }>(`running function "${this.name}"`, options, { signal })
    if (this.#closed) throw new StreamError('closed', `the worker of function "${this.name}" is closed`)
    if (this.#begun)
      throw new StreamError('invalid-argument', `the worker of function "${this.name}" runs once; make another one`)
    this.#begun = true
    const isOver = (): boolean => (this.#closed ||= options.signal?.aborted === true)
    // Over before it began: there is nothing to drain yet.
    if (isOver()) return
    await this.#settleDelivery()
    if (isOver()) return
    if (this.#options.to !== undefined) await this.#session.openTopic(this.#options.to, {})
    if (isOver()) return
    const { from, to, concurrency = 16, group = this.name, delivery: _delivery, ...rest } = this.#options
    const spec: TopicOptions<unknown> = {}
    const consumerOptions: ConsumerOptions<I> = { ...(rest as Omit<ConsumerOptions<I>, 'group'>), group }
    this.#consumer = this.#session.consumer(from, spec, this.#input, consumerOptions, this.#transactional)
    if (to !== undefined && !this.#transactional) this.#producer = this.#session.producer(to, {}, this.#output, {})
    try {
      await this.#consumer.run((message) => this.#handle(message), { concurrency, ...options })
    } catch (error) {
      throw this.#failure ?? error
    } finally {
      await this.#closeProducer()
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  async close(options?: CloseOptions): Promise<void> {
    closeTimeoutMs(options)
    this.#closed = true
    this.#closeOptions ??= options
    try {
      await this.#consumer?.close(options)
    } catch (error) {
      // What was given up is told by the run, with why.
      if (this.#failure === undefined) throw error
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** In the time that the worker's own close was given. Outputs that are left are of messages that were given up, and come again. */
  async #closeProducer(): Promise<void> {
    try {
      await this.#producer?.close(this.#closeOptions)
    } catch (error) {
      if (!this.#closed) throw error
      this.#session.deps.logger.warn(
        { function: this.name, error },
        'outputs of messages that were given up were not sent',
      )
    }
  }

  stats(): ConsumerStats & { readonly produced: number } {
    return { ...(this.#consumer?.stats() ?? statsOf({ records: 0, bytes: 0 }, undefined)), produced: this.#produced }
  }

  /** A queue topic has no offset to store with the outputs, so it cannot be exactly once. */
  async #settleDelivery(): Promise<void> {
    if (!this.#transactional) return
    const { capabilities } = this.#session.deps.driver
    const { order } = await this.#session.openTopic(this.#options.from, {})
    if (capabilities.shapes[order] === 'log') return
    if (this.#options.delivery === 'exactly-once')
      throw this.#noTransactions(`topic "${this.#options.from}", which has no order,`)
    this.#transactional = false
  }

  #noTransactions(what: string): StreamError {
    return new StreamError(
      'unsupported',
      `${what} cannot store outputs and offsets in one transaction; use delivery: at-least-once for function "${this.name}"`,
    )
  }

  async #handle(message: Message<I>): Promise<void> {
    const outputs = await this.#collect(await this.#definition.handle(message))
    // A message that its function gives up or wants again has no outputs: its next attempt, if any, makes them anew.
    const verb = message instanceof Delivery ? message.verb?.kind : undefined
    if (outputs.length === 0 || verb === 'dead-letter' || verb === 'retry') return
    try {
      if (this.#transactional) await this.#attach(message, outputs)
      else await this.#send(outputs)
    } catch (error) {
      if (StreamError.is(error) && isOfTopic(error, outputs)) return this.#end(message.signal, error)
      throw error
    }
    this.#produced += outputs.length
  }

  /** Ends the run with an error that is no message's: all that is in hand is given up, and comes again. */
  async #end(signal: AbortSignal, error: StreamError): Promise<void> {
    this.#failure ??= error
    this.#closed = true
    // That it gave up messages is what it is for.
    const closing = this.#consumer?.close({ timeoutMs: 0 }).catch(() => undefined)
    if (!signal.aborted) await once(signal, 'abort')
    await closing
  }

  /** Each output is encoded as it is given, so that a generator may reuse what it yields. */
  async #collect(given: FunctionOutput<O>): Promise<readonly OutgoingRecord[]> {
    if (given === undefined || given === null) return []
    if (typeof given !== 'object') throw this.#noOutput(given)
    const records: Promise<OutgoingRecord>[] = []
    if (Symbol.asyncIterator in given) for await (const output of given) records.push(this.#prepared(output))
    else if (Symbol.iterator in given) for (const output of given) records.push(this.#prepared(output))
    else records.push(this.#prepared(given))
    return Promise.all(records)
  }

  #prepared(output: OutgoingMessage<O>): Promise<OutgoingRecord> {
    if (this.#options.to === undefined) {
      throw new StreamError(
        'invalid-argument',
        `function "${this.name}" gave an output but has no topic to write to; add "to"`,
      )
    }
    if (typeof output !== 'object' || output === null) throw this.#noOutput(output)
    const record = Promise.resolve(prepare(output, this.#prepareContext, undefined))
    // It is told by `collect`, unless the function throws before that.
    record.catch(() => undefined)
    return record
  }

  #noOutput(given: unknown): StreamError {
    return new StreamError(
      'invalid-argument',
      `a function gives messages ({ value, key?, headers? }), one, several or none; "${this.name}" gave ${kindOf(given)}`,
    )
  }

  /** The record as it will be stored, and its size. Its span covers its making: a transaction has no receipt for each. */
  #complete(output: OutgoingRecord, topic: DriverTopic): readonly [OutgoingRecord, number] {
    const span = this.#session.deps.telemetry?.startSend(topic.name, output.headers)
    const record = withHeaders(output, span?.headers)
    try {
      const bytes = checkLimits(record, span?.headers, this.#output.codec.contentType, topic)
      span?.end({ id: output.id })
      return [record, bytes]
    } catch (error) {
      span?.fail(StreamError.from(error, `an output for topic "${topic.name}" could not be prepared`))
      throw error
    }
  }

  /** Outputs wait with their message until both can be stored in one transaction. */
  async #attach(message: Message<I>, outputs: readonly OutgoingRecord[]): Promise<void> {
    const to = this.#prepareContext.topicName
    const topic = await this.#session.openTopic(to, {})
    const records: TransactionRecord[] = []
    for (const output of outputs) {
      const [record, bytes] = this.#complete(output, topic)
      await this.#session.rateOf(to, {})?.pass(bytes, message.signal)
      records.push({ topic: to, record })
    }
    if (message instanceof Delivery) message.outputs = records
  }

  /** An earlier attempt may have fenced the keys of its outputs; this attempt sends them again, in order. */
  async #send(outputs: readonly OutgoingRecord[]): Promise<void> {
    const producer = this.#producer
    if (producer === undefined) throw new StreamError('closed', `function "${this.name}" is closed`)
    for (const { key } of outputs) if (key !== undefined) producer.resume(key)
    const results = await Promise.allSettled(outputs.map((output) => producer.sendPrepared(output)))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}
