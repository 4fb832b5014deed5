import { StreamError, untilAborted } from '@sluice/driver'

/** Rejects as soon as the signal aborts; what was sent may then still be stored. */
export function answerOrAbort<T>(work: Promise<T>, signal: AbortSignal, what: string): Promise<T> {
  const message = `${what} was aborted while it was on its way; it may have been stored`
  return untilAborted(
    work,
    signal,
    () => new StreamError('aborted', message, { cause: signal.reason, ambiguous: true }),
  )
}
