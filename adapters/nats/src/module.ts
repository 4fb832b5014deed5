import { ContainerModule } from 'inversify'
import { specVersion, tokens } from '@sluice/driver'
import type { Adapter } from '@sluice/driver'
import { parseConfig } from './config.ts'
import { NatsDriver } from './driver.ts'

const natsAdapter: Adapter = {
  specVersion,
  scheme: 'nats',
  open: async (url, context) => NatsDriver.open(parseConfig(url), context),
}

/** Binds the scheme `nats`. */
export const natsModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(tokens.Adapter).toConstantValue(natsAdapter)
})
