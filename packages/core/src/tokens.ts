import { tokens as driverTokens } from '@sluice/driver'
import type { Driver, Token } from '@sluice/driver'
import type { Codec } from './codec.ts'

/** What a user's `ContainerModule` may bind: an adapter, a clock, a logger, randomness, a lease store, the default codec, or a whole driver. */
export const tokens: typeof driverTokens & {
  /** The codec of topics that name none. Default: JSON. */
  readonly Codec: Token<Codec<unknown>>
  /** An opened driver, used instead of opening one by the address. */
  readonly Driver: Token<Driver>
} = {
  ...driverTokens,
  Codec: Symbol.for('sluice/Codec'),
  Driver: Symbol.for('sluice/Driver'),
}
