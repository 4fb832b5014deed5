import type { Clock } from '@sluice/driver'

/** Whether `task` settled before `ms` went by or the signal aborted. Leaves no timer; does not stop the task. */
export async function within(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  task: () => Promise<void>,
): Promise<boolean> {
  if (signal.aborted) return false
  const over = Promise.withResolvers<boolean>()
  const stop = (): void => over.resolve(false)
  const timer = clock.after(ms, stop)
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([task().then(() => true), over.promise])
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', stop)
  }
}
