import { StreamError, sleep } from '@sluice/driver'
import type { Clock, Credit, Logger, Random } from '@sluice/driver'
import { backoffMs } from '../backoff.ts'

/** What an intake works with. */
export interface IntakeDeps {
  readonly topicName: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** `undefined`: nothing may be read now. */
  readonly credit: () => Credit | undefined
  /** Reads once and takes in what came. */
  readonly read: (credit: Credit, signal: AbortSignal) => Promise<void>
  readonly onFailed: (error: StreamError) => void
}

const backoff = { baseMs: 50, maxMs: 5_000 }

/** The reading loop of a consumer: one read at a time, only with credit; transient trouble is waited out, never fatal. */
export class Intake {
  readonly #deps: IntakeDeps
  readonly #stop = new AbortController()
  #wake: (() => void) | undefined
  #paused = false
  #loop: Promise<void> = Promise.resolve()

  constructor(deps: IntakeDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#loop = this.#run()
  }

  /** Looks again whether there is credit. */
  wake(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  setPaused(paused: boolean): void {
    this.#paused = paused
    this.wake()
  }

  /** Resolves when the read that runs has ended; there is none after. */
  async stop(): Promise<void> {
    this.#stop.abort(new StreamError('closed', `the consumer of topic "${this.#deps.topicName}" is closing`))
    this.wake()
    await this.#loop
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    let failures = 0
    while (!signal.aborted) {
      const credit = this.#paused ? undefined : this.#deps.credit()
      if (credit === undefined) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      try {
        await this.#deps.read(credit, signal)
        failures = 0
      } catch (cause) {
        if (signal.aborted) return
        const error = StreamError.from(cause, `reading topic "${this.#deps.topicName}" failed`)
        if (!error.retryable) return this.#deps.onFailed(error)
        await this.#waitOut(error, ++failures, signal)
      }
    }
  }

  async #waitOut(error: StreamError, failures: number, signal: AbortSignal): Promise<void> {
    const { clock, logger, random, topicName } = this.#deps
    const waitMs = backoffMs(backoff, failures, random, error.retryAfterMs)
    logger.warn(
      { topic: topicName, code: error.code, failures, waitMs },
      `reading failed and will be tried again: ${error.message}`,
    )
    try {
      await sleep(clock, waitMs, signal)
    } catch {
      // Only an abort ends the wait early; the loop sees it and stops.
    }
  }
}
