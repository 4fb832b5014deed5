import type { Logger } from '@sluice/driver'

/** The logger, with whatever it throws or rejects dropped: there is nobody left to tell, and no line is worth a message. */
export function guardLogger(logger: Logger): Logger {
  const guarded =
    (level: keyof Logger): Logger[typeof level] =>
    (fields, message) => {
      try {
        const written: unknown = logger[level](fields, message)
        if (written instanceof Promise) written.catch(() => undefined)
      } catch {
        // See above.
      }
    }
  return { debug: guarded('debug'), info: guarded('info'), warn: guarded('warn'), error: guarded('error') }
}
