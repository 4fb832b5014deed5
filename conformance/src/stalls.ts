import type { CaseContext } from './context.ts'

/** Returns how long this process stood still at most, in milliseconds, since this was called. */
export function watchStalls(context: CaseContext): () => number {
  let [longest, last] = [0, performance.now()]
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 10)
  context.defer(async () => clearInterval(timer))
  return () => longest
}
