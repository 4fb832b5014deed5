import { StreamError } from '@sluice/driver'
import type { Clock, ErrorContext } from '@sluice/driver'
import { toStreamError } from './errors.ts'

/** What a call happens in. */
export interface CallOptions extends ErrorContext {
  /** Ends the call; what was asked may have happened then. */
  readonly signal?: AbortSignal | undefined
  /** Gives up after so long. Default: that of the address. */
  readonly timeoutMs?: number
}

/** Makes calls to AWS end: by a deadline of ours, whatever the SDK's handlers do, and by a signal. */
export class Calls {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #onTimeout: () => void
  readonly #closing = new AbortController()

  /** `onTimeout` is told of each call that had no answer in time. */
  constructor(clock: Clock, timeoutMs: number, onTimeout: () => void = () => undefined) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    this.#onTimeout = onTimeout
  }

  /** Runs a call. Rejects with a StreamError whose cause is the SDK's. */
  async run<T>(options: CallOptions, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, timeoutMs = this.#timeoutMs, ...context } = options
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
      return await Promise.race([call(controller.signal), ended.promise])
    } catch (cause) {
      // The SDK may notice the abort first, or its own deadline.
      const error = toStreamError(controller.signal.aborted ? controller.signal.reason : cause, context)
      if (error.code === 'timeout') this.#onTimeout()
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
