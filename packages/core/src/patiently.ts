import { sleep, StreamError } from '@sluice/driver'
import type { Clock, Logger, Random } from '@sluice/driver'
import { backoffMs } from './backoff.ts'

const backoff = { baseMs: 200, maxMs: 2_000 }
/** Between tries at least. */
const leastMs = 50

/** What patience takes. */
export interface PatienceDeps {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** How long an error that passes is lived with, in milliseconds. */
  readonly patienceMs: number
  /** Ends it early. */
  readonly signal: AbortSignal
}

/**
 * Does again what failed for a reason that passes: the backend is away for a moment, busy, or the connection was cut. Rejects with
 * any other error at once, and with the last one when no time is left. `work` leaves nothing behind where it fails.
 */
export async function patiently<T>(what: string, work: () => Promise<T>, deps: PatienceDeps): Promise<T> {
  const { clock, logger, patienceMs, random, signal } = deps
  const endMs = clock.monotonic() + patienceMs
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!StreamError.is(error) || !error.retryable || signal.aborted) throw error
      const waitMs = backoffMs(backoff, attempt, random, Math.max(leastMs, error.retryAfterMs ?? 0))
      if (clock.monotonic() + waitMs >= endMs) throw error
      logger.warn({ code: error.code, attempt }, `could not ${what}, and will try again: ${error.message}`)
      // Whoever ends the wait gets the error that it was for.
      await sleep(clock, waitMs, signal).catch(() => Promise.reject(error))
    }
  }
}
