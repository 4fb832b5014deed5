import type { Logger } from '@sluice/driver'

/** Says with each line whose leases it is about. */
export function scopedLogger(logger: Logger, scope: string): Logger {
  return {
    debug: (fields, message) => logger.debug({ scope, ...fields }, message),
    info: (fields, message) => logger.info({ scope, ...fields }, message),
    warn: (fields, message) => logger.warn({ scope, ...fields }, message),
    error: (fields, message) => logger.error({ scope, ...fields }, message),
  }
}
