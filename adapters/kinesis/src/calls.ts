import { StreamError } from '@sluice/driver'
import type { Clock, ErrorContext } from '@sluice/driver'
import { toStreamError } from './errors.ts'

/** What a call happens in. */
export interface CallOptions extends ErrorContext {
  /** Ends the call; what was asked may have happened then. */
  readonly signal?: AbortSignal | undefined
  /** Gives up after so long. Default: that of the address. */
  readonly timeoutMs?: number
  /** It has a connection of its own, and so tells nothing of the one that the others share. Default: false. */
  readonly apart?: boolean
}

/** Makes calls to AWS end: by a deadline of ours, whatever the SDK's handlers do, and by a signal. */
export class Calls {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #onTimeout: () => void
  readonly #closing = new AbortController()
  /** When the last answer came over the connection that calls share. */
  #answeredMs = Number.NEGATIVE_INFINITY

  /** `onTimeout` is told of a call that had no answer in time, when none of the others had one meanwhile. */
  constructor(clock: Clock, timeoutMs: number, onTimeout: () => void = () => undefined) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#onTimeout = onTimeout
  }

  /** Runs a call. Rejects with a StreamError whose cause is the SDK's. */
  async run<T>(options: CallOptions, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, timeoutMs = this.#timeoutMs, apart = false, ...context } = options
    const begunMs = this.#clock.monotonic()
    const what = context.topic === undefined ? context.operation : `${context.operation} on topic "${context.topic}"`
    const ended = Promise.withResolvers<never>()
    const controller = new AbortController()
    const end = (error: StreamError): void => {
      ended.reject(error)
      controller.abort(error)
    }
    const onAbort = (): void => end(aborted(what, signal?.reason))
    const onClose = (): void => end(new StreamError('closed', `${what} failed: the connection was closed`))
    const timer = this.#clock.after(timeoutMs, () =>
      end(new StreamError('timeout', `${what} failed: no answer within ${timeoutMs} ms`)),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#closing.signal.addEventListener('abort', onClose, { once: true })
    try {
      if (this.#closing.signal.aborted) onClose()
      else if (signal?.aborted === true) onAbort()
      const answer = await Promise.race([call(controller.signal), ended.promise])
      if (!apart) this.#answeredMs = this.#clock.monotonic()
      return answer
    } catch (cause) {
      // The SDK may notice the abort first, or its own deadline.
      const error = toStreamError(controller.signal.aborted ? controller.signal.reason : cause, context)
      // To cut a connection that only one call had trouble with would leave all others without their answers.
      if (error.code === 'timeout' && !apart && this.#answeredMs < begunMs) this.#onTimeout()
      throw error
    } finally {
      ended.promise.catch(() => undefined)
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
      this.#closing.signal.removeEventListener('abort', onClose)
    }
  }

  /** Ends every call with `closed`, and lets none begin. */
  close(): void {
    this.#closing.abort()
  }
}

function aborted(what: string, reason: unknown): StreamError {
  return new StreamError('aborted', `${what} was aborted on its way; it may have happened`, {
    cause: reason,
    ambiguous: true,
  })
}
