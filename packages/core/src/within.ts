import { StreamError } from '@sluice/driver'
import type { Clock } from '@sluice/driver'

/** Waits for `work`, but no longer than `ms`; false when it is not done by then. What it does later is nobody's concern. */
export async function within(clock: Clock, work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>()
  const timer = clock.after(ms, () => resolve(false))
  // Its failure is told to whoever still waits; after that it must not become an unhandled one.
  work.catch(() => undefined)
  try {
    return await Promise.race([work.then(() => true), late])
  } finally {
    timer.cancel()
  }
}

/** What closing may take beyond the time it was given: to let go of what cannot be finished. */
const lettingGoMs = 6_000

/** Joins a close that runs already, which may have been given more time. Rejects with `timeout` when it is not done in this one's. */
export async function joinClose(clock: Clock, closing: Promise<void>, timeoutMs: number, what: string): Promise<void> {
  if (await within(clock, closing, timeoutMs + lettingGoMs)) return
  throw new StreamError(
    'timeout',
    `${what} is being closed with more time than the ${timeoutMs} ms given now; it goes on`,
  )
}
