import type { OutgoingMessage, Topic } from '@sluice/core'
import { StreamError } from '@sluice/driver'
import { codeFailed } from './code-failed.ts'
import type { ModuleContext, Source } from './module-types.ts'
import type { Part, PartProgress } from './part.ts'

/** Sends that may be under way before the next message is asked of the source. */
const maxPending = 1_000

/** Sends what a source yields, in the order it yields it. */
export class SourcePart implements Part {
  readonly kind = 'source'
  readonly name: string
  readonly reads: undefined
  readonly #source: Source
  readonly #topic: Topic<unknown>
  readonly #context: Omit<ModuleContext, 'signal'>
  readonly #use: string
  readonly #stop = new AbortController()
  #pending = 0
  /** Called when a send has ended. */
  #wake: (() => void) | undefined
  #produced = 0
  #failure: { readonly error: unknown } | undefined
  #running: Promise<void> | undefined

  constructor(source: Source, topic: Topic<unknown>, context: Omit<ModuleContext, 'signal'>, use: string) {
    this.name = context.name
    this.#source = source
    this.#topic = topic
    this.#context = context
    this.#use = use
  }

  run(): Promise<void> {
    this.#running ??= this.#pump()
    return this.#running
  }

  async close(): Promise<void> {
    this.#stop.abort()
    // What ended the source is told by run.
    await this.#running?.catch(() => undefined)
  }

  progress(): Omit<PartProgress, 'state'> {
    const counters = { received: 0, produced: this.#produced, retried: 0, deadLettered: 0, inHand: this.#pending }
    return { kind: this.kind, name: this.name, ...counters }
  }

  async #pump(): Promise<void> {
    const messages = this.#start()
    try {
      for (;;) {
        const next = await untilAborted(messages.next(), this.#stop.signal).catch((error: unknown) => {
          throw this.#codeFailed(error)
        })
        if (next === undefined || next.done === true) break
        this.#send(checked(next.value))
        if (this.#pending >= maxPending)
          await this.#until(() => this.#pending <= maxPending / 2 || this.#failure !== undefined)
        this.#throwFailure()
      }
    } finally {
      // A source that waits for the outside world may never answer; nothing depends on its answer.
      if (this.#stop.signal.aborted) messages.return?.().then(undefined, () => undefined)
      await this.#until(() => this.#pending === 0)
    }
    this.#throwFailure()
  }

  #start(): AsyncIterator<OutgoingMessage<unknown>> {
    try {
      return iterate(this.#source({ ...this.#context, signal: this.#stop.signal }))
    } catch (error) {
      throw this.#codeFailed(error)
    }
  }

  #codeFailed(error: unknown): StreamError {
    return codeFailed(error, { use: this.#use, folder: this.#context.folder })
  }

  #send(message: OutgoingMessage<unknown>): void {
    this.#pending++
    const ended = (): void => {
      this.#pending--
      this.#wake?.()
    }
    this.#topic.send(message).then(
      () => {
        this.#produced++
        ended()
      },
      (error: unknown) => {
        this.#failure ??= { error }
        ended()
      },
    )
  }

  /** One waiter, however many sends are under way: a race of them all would be a reaction to each, for each message. */
  async #until(enough: () => boolean): Promise<void> {
    while (!enough()) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}

function iterate<T>(values: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> {
  // What the user's code gives is known at run time only.
  const given: unknown = values
  if (typeof given === 'object' && given !== null) {
    if (Symbol.asyncIterator in values) return values[Symbol.asyncIterator]()
    if (Symbol.iterator in values) return fromSync(values)
  }
  throw new StreamError(
    'invalid-argument',
    `a source gives messages one by one, and this one gave ${nameOf(given)}; write it as function* or async function*`,
  )
}

function checked(message: OutgoingMessage<unknown>): OutgoingMessage<unknown> {
  const given: unknown = message
  if (typeof given === 'object' && given !== null && 'value' in given) return message
  throw new StreamError(
    'invalid-argument',
    `a source yields messages, and this one yielded ${nameOf(given)}; yield { key, value }`,
  )
}

function nameOf(given: unknown): string {
  if (typeof given !== 'object' || given === null) return String(given)
  return given instanceof Promise ? 'a promise' : 'an object without "value"'
}

async function* fromSync<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values
}

/** The value, or `undefined` as soon as the signal aborts. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  if (signal.aborted) return Promise.resolve(undefined)
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
