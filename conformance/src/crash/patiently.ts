import { StreamError } from '@sluice/core'

/** How long whoever takes part in a round tries to reach a backend, in milliseconds. */
export const openMs = 20_000

/**
 * Tries again for `ms` while the backend is away, on purpose. What `mayTryAgain` says no to is thrown, and so is what no
 * second try can mend.
 */
export async function patiently<T>(ms: number, once: () => Promise<T>, mayTryAgain = () => true): Promise<T> {
  const end = performance.now() + ms
  for (;;) {
    try {
      return await once()
    } catch (error) {
      if (!mayTryAgain() || !StreamError.is(error) || !error.retryable || performance.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
