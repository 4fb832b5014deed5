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
