import type { StreamError } from './errors.ts'

/** Waits for `work` until the signal aborts: then it rejects with what `error` makes, and `work` is left to itself. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal, error: () => StreamError): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(error())
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
