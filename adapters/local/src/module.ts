import { ContainerModule } from 'inversify'
import { specVersion, tokens } from '@sluice/driver'
import type { Adapter } from '@sluice/driver'
import { parseConfig } from './config.ts'
import { LocalDriver } from './driver.ts'
import { StoreRegistry } from './store/registry.ts'

/** Opens logs of one scheme. */
function localAdapter(scheme: 'local' | 'memory', stores: StoreRegistry): Adapter {
  return {
    specVersion,
    scheme,
    open: async (url, context) => LocalDriver.open(parseConfig(url), context, stores),
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
