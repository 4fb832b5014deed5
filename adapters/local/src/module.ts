import { ContainerModule } from 'inversify'
import { specVersion, tokens } from '@sluice/driver'
import type { Adapter, Driver, OpenContext } from '@sluice/driver'
import { parseConfig } from './config.ts'
import type { LocalConfig } from './config.ts'
import { LocalDriver } from './driver.ts'
import { ProfiledDriver } from './profiles/profiled.ts'
import { storeSupport } from './profiles/support.ts'
import { StoreRegistry } from './store/registry.ts'

/** Opens a log, with the profiles of its address. */
export async function openLocal(config: LocalConfig, context: OpenContext, stores: StoreRegistry): Promise<Driver> {
  const driver = await LocalDriver.open(config, context, stores)
  if (config.profiles.length === 0) return driver
  return new ProfiledDriver(driver, {
    names: config.profiles,
    clock: context.clock,
    leaseMs: config.leaseMs,
    support: storeSupport(driver.store),
  })
}

/** Opens logs of one scheme. */
function localAdapter(scheme: 'local' | 'memory', stores: StoreRegistry): Adapter {
  return {
    specVersion,
    scheme,
    open: async (url, context) => openLocal(parseConfig(url), context, stores),
  }
}

/**
 * Binds the schemes `local` and `memory`. Connections of one process share the stores they have in common, whatever
 * container they come from: that is what gives `memory:NAME` its meaning.
 */
export const localModule: ContainerModule = (() => {
  const stores = new StoreRegistry()
  return new ContainerModule(({ bind }) => {
    bind(tokens.Adapter)
      .toResolvedValue(() => localAdapter('local', stores))
      .inSingletonScope()
    bind(tokens.Adapter)
      .toResolvedValue(() => localAdapter('memory', stores))
      .inSingletonScope()
  })
})()
