import { StreamError } from '@sluice/driver'
import type { Logger } from '@sluice/driver'
import type { Part, PartProgress } from './part.ts'

/** When a run should end by itself: given the end of all sources, and a signal that aborts when it ends otherwise. */
export type EndCondition = (sourcesDone: Promise<unknown>, stopped: AbortSignal) => Promise<void> | undefined

/** Runs parts together: they end together, and the first failure is the run's. */
export class Supervisor {
  readonly #parts: readonly Part[]
  readonly #logger: Logger
  readonly #states = new Map<Part, PartProgress['state']>()
  readonly #stop = new AbortController()
  #failure: StreamError | undefined

  constructor(parts: readonly Part[], logger: Logger) {
    this.#parts = parts
    this.#logger = logger
    for (const part of parts) this.#states.set(part, 'running')
  }

  progress(): readonly PartProgress[] {
    return this.#parts.map((part) => ({ ...part.progress(), state: this.#states.get(part) ?? 'running' }))
  }

  /** Resolves once all parts have drained, after the signal, the end condition, or the end of every part. */
  async run(signal: AbortSignal, endCondition: EndCondition): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      this.#stop.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    const onAbort = (): void => this.#stop.abort()
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    const sources = this.#of('source').map((part) => this.#watch(part))
    const readers = this.#of('reader').map((part) => this.#watch(part))
    const all = Promise.all([...sources, ...readers])
    const ended = endCondition(Promise.all(sources), this.#stop.signal)?.catch((error: unknown) => this.#fail(error))
    await Promise.race([stopped, all, ...(ended === undefined ? [] : [ended])])
    this.#stop.abort()
    signal.removeEventListener('abort', onAbort)
    await this.#drain()
    await Promise.all([all, ended])
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Never rejects: a failure stops the run, which then tells it. */
  async #watch(part: Part): Promise<void> {
    try {
      await part.run()
      this.#states.set(part, 'done')
      this.#logger.debug({ part: part.name }, `${part.kind} has ended`)
    } catch (error) {
      this.#states.set(part, 'failed')
      this.#fail(named(part, error))
    }
  }

  /** Upstream first, so that nothing new arrives while the rest finishes. */
  async #drain(): Promise<void> {
    await Promise.all(this.#of('source').map((part) => this.#close(part)))
    await Promise.all(this.#of('reader').map((part) => this.#close(part)))
  }

  #of(kind: 'source' | 'reader'): readonly Part[] {
    return this.#parts.filter((part) => (part.kind === 'source') === (kind === 'source'))
  }

  async #close(part: Part): Promise<void> {
    try {
      await part.close()
    } catch (error) {
      this.#fail(named(part, error))
    }
  }

  #fail(error: unknown): void {
    const failure = StreamError.from(error, 'the pipeline failed')
    if (this.#failure === undefined) this.#failure = failure
    else this.#logger.warn({ code: failure.code }, `while draining: ${failure.message}`)
    this.#stop.abort()
  }
}

function named(part: Part, error: unknown): StreamError {
  const who = `${part.kind} "${part.name}"`
  if (!StreamError.is(error)) return StreamError.from(error, who)
  return new StreamError(error.code, `${who}: ${error.message}`, {
    cause: error,
    retryable: error.retryable,
    ambiguous: error.ambiguous,
    details: { ...error.details, part: part.name },
  })
}
