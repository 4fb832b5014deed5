import type { CaseContext } from './context.ts'

/** How long this process stood still. */
export interface Stalls {
  /** The longest stall between two times of `performance.now()`, in milliseconds; of all, when none are given. */
  longest(fromMs?: number, toMs?: number): number
}

/** Looks from now on until the case ends. */
export function watchStalls(context: CaseContext): Stalls {
  const everyMs = 10
  const stalls: { readonly fromMs: number; readonly toMs: number }[] = []
  let lastMs = performance.now()
  const timer = setInterval(() => {
    const nowMs = performance.now()
    if (nowMs - lastMs > 2 * everyMs) stalls.push({ fromMs: lastMs, toMs: nowMs })
    lastMs = nowMs
  }, everyMs)
  context.defer(async () => clearInterval(timer))
  return {
    longest: (fromMs = -Infinity, toMs = Infinity) =>
      stalls
        .filter((stall) => stall.toMs > fromMs && stall.fromMs < toMs)
        .reduce((longest, stall) => Math.max(longest, stall.toMs - stall.fromMs), 0),
  }
}
