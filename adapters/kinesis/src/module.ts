import { ContainerModule } from 'inversify'
import { specVersion, tokens } from '@sluice/driver'
import type { Adapter } from '@sluice/driver'
import { parseConfig } from './config.ts'
import { KinesisDriver } from './driver.ts'

const kinesisAdapter: Adapter = {
  specVersion,
  scheme: 'kinesis',
  open: async (url, context) => KinesisDriver.open(parseConfig(url), context),
}

/** Binds the scheme `kinesis`. */
export const kinesisModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(tokens.Adapter).toConstantValue(kinesisAdapter)
})
