import type { Consumer } from '@sluice/core'
import { StreamError } from '@sluice/driver'
import { codeFailed } from './code-failed.ts'
import type { ModuleContext, Sink, SinkDefinition, SinkHandler } from './module-types.ts'
import type { Part, PartProgress } from './part.ts'
import type { SinkPlan } from './pipeline.ts'

/** Writes a topic's messages to a sink, or shows them to a client. */
export class SinkPart implements Part {
  readonly kind: SinkPlan['kind']
  readonly name: string
  readonly reads: { readonly topic: string; readonly group: string }
  readonly #plan: SinkPlan
  readonly #consumer: Consumer<unknown>
  readonly #code: SinkDefinition | SinkHandler
  readonly #context: Omit<ModuleContext, 'signal'>
  readonly #stop = new AbortController()

  constructor(
    plan: SinkPlan,
    consumer: Consumer<unknown>,
    code: SinkDefinition | SinkHandler,
    context: Omit<ModuleContext, 'signal'>,
  ) {
    this.kind = plan.kind
    this.name = plan.name
    this.reads = { topic: plan.from, group: plan.group }
    this.#plan = plan
    this.#consumer = consumer
    this.#code = code
    this.#context = context
  }

  async run(): Promise<void> {
    const context: ModuleContext = { ...this.#context, signal: this.#stop.signal }
    const { concurrency } = this.#plan.reading
    const running = concurrency === undefined ? {} : { concurrency }
    const code = this.#code
    if (typeof code === 'function') return this.#consumer.run((message) => code(message, context), running)
    const sink = await this.#guarded(async () => checked(await code.open(context), this.#plan.module.use))
    try {
      // Closed while it was opened: there is nothing to be read any more.
      if (this.#stop.signal.aborted) return
      await this.#consumer.run((messages) => sink.write(messages), { ...running, batch: this.#plan.batch })
    } finally {
      await this.#guarded(() => sink.close?.())
    }
  }

  async #guarded<T>(run: () => T | Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      throw codeFailed(error, { use: this.#plan.module.use, folder: this.#context.folder })
    }
  }

  close(): Promise<void> {
    this.#stop.abort()
    return this.#consumer.close()
  }

  progress(): Omit<PartProgress, 'state'> {
    const stats = this.#consumer.stats()
    return {
      kind: this.kind,
      name: this.name,
      received: stats.acked + stats.skipped + stats.expired,
      produced: 0,
      retried: stats.retried,
      deadLettered: stats.deadLettered,
      inHand: stats.bufferedRecords,
    }
  }
}

/** What the user's code gives is known at run time only; without this every message would end as a dead letter. */
function checked(sink: Sink, use: string): Sink {
  const given: unknown = sink
  if (typeof given === 'object' && given !== null && typeof sink.write === 'function') return sink
  throw new StreamError('invalid-argument', `open gave no sink; have ${use} return { write(messages) { … } }`)
}
