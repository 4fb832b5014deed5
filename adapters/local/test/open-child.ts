// Opens the address it is given and tells what came of it; started by faults.test.ts as another user.
import { parseBackendUrl, silentLogger, StreamError, systemClock } from '@sluice/driver'
import { parseConfig } from '../src/config.ts'
import { openLocal } from '../src/module.ts'
import { StoreRegistry } from '../src/store/registry.ts'

const context = {
  clock: systemClock,
  logger: silentLogger,
  random: Math.random,
  leaseStore: undefined,
  signal: new AbortController().signal,
}
try {
  const driver = await openLocal(parseConfig(parseBackendUrl(process.argv[2] ?? '')), context, new StoreRegistry())
  await driver.close()
  process.send?.({ code: 'opened' })
} catch (error) {
  process.send?.(StreamError.is(error) ? { code: error.code, message: error.message } : { code: String(error) })
}
process.disconnect?.()
