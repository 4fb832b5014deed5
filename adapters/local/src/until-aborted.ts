import { StreamError } from '@sluice/driver'

/** Rejects as soon as the signal aborts; what was sent may then still be stored. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal, what: string): Promise<T> {
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    onAbort = (): void => {
      reject(
        new StreamError('aborted', `${what} was aborted while it was on its way; it may have been stored`, {
          cause: signal.reason,
          ambiguous: true,
        }),
      )
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}
