import type { Random } from '@sluice/driver'

/** Ceilings of exponential waits, in milliseconds. */
export interface BackoffLimits {
  readonly baseMs: number
  readonly maxMs: number
}

/**
 * The wait before try `attempt + 1` (so `attempt` is 1 after the first failure): uniform in [0, min(max, base * 2^(attempt-1))].
 * "Full jitter" of the AWS Architecture Blog, "Exponential Backoff and Jitter" (2015). Never shorter than `atLeastMs`.
 */
export function backoffMs(limits: BackoffLimits, attempt: number, random: Random, atLeastMs = 0): number {
  const ceiling = Math.min(limits.maxMs, limits.baseMs * 2 ** Math.min(attempt - 1, 30))
  return Math.max(atLeastMs, random() * ceiling)
}
