import { Container } from 'inversify'
import type { ContainerModule } from 'inversify'
import { StreamError, nearest, silentLogger, systemClock, textOf } from '@sluice/driver'
import type { Adapter, BackendUrl, Clock, Driver, LeaseStore, Logger, Random, Token } from '@sluice/driver'
import type { Codec } from './codec.ts'
import { guardLogger } from './guard-logger.ts'
import { clock, codec, driver, leaseStore, logger } from './option-kinds.ts'
import { checkArgument, func } from './options.ts'
import type { Kind } from './options.ts'
import { tokens } from './tokens.ts'

/** What may be given to `connect` instead of bound in a module. */
export interface Given {
  readonly adapters: readonly ContainerModule[]
  readonly modules: readonly ContainerModule[]
  readonly logger: Logger | undefined
  readonly clock: Clock | undefined
  readonly random: Random | undefined
  readonly leaseStore: LeaseStore | undefined
}

/** The parts a connection is made of. */
export interface Parts {
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
  readonly leaseStore: LeaseStore | undefined
  readonly codec: Codec<unknown> | undefined
  /** A driver the user bound, to be used instead of opening one. */
  readonly driver: Driver | undefined
  /** The adapter for the address; loads its package when nobody gave one. */
  adapter(url: BackendUrl): Promise<Adapter>
}

/** The schemes that adapters exist for. */
const knownSchemes = ['local', 'memory', 'nats', 'kinesis']
const packageOfScheme: Readonly<Record<string, string>> = { memory: '@sluice/local' }

/** Puts the container together. The one place that knows inversify. */
export async function compose(given: Given): Promise<Parts> {
  const container = new Container({ defaultScope: 'Singleton' })
  await load(container, ...given.adapters, ...given.modules)
  if (!container.isBound(tokens.Clock)) container.bind(tokens.Clock).toConstantValue(given.clock ?? systemClock)
  if (!container.isBound(tokens.Logger)) container.bind(tokens.Logger).toConstantValue(given.logger ?? silentLogger)
  if (!container.isBound(tokens.Random)) container.bind(tokens.Random).toConstantValue(given.random ?? Math.random)
  const guarded = guardLogger(bound(container, tokens.Logger, 'Logger', logger) ?? silentLogger)
  return {
    clock: bound(container, tokens.Clock, 'Clock', clock) ?? systemClock,
    logger: guarded,
    random: bound(container, tokens.Random, 'Random', func) ?? Math.random,
    leaseStore: bound(container, tokens.LeaseStore, 'LeaseStore', leaseStore) ?? given.leaseStore,
    codec: bound(container, tokens.Codec, 'Codec', codec),
    driver: bound(container, tokens.Driver, 'Driver', driver),
    async adapter(url) {
      const bound = findAdapter(container, url.scheme)
      if (bound !== undefined) return bound
      await load(container, await loadAdapter(url.scheme))
      const loaded = findAdapter(container, url.scheme)
      if (loaded === undefined) {
        throw new StreamError(
          'invalid-argument',
          `${packageName(url.scheme)} is installed but serves no "${url.scheme}:" addresses`,
        )
      }
      return loaded
    },
  }
}

/** Modules are code of others: what they throw, and what is none, is told as such. */
async function load(container: Container, ...modules: readonly ContainerModule[]): Promise<void> {
  try {
    await container.loadAsync(...modules)
  } catch (cause) {
    throw badModule(cause)
  }
}

/** What the modules bound, checked; `undefined`: nothing. */
function bound<T>(container: Container, token: Token<T>, name: string, kind: Kind): T | undefined {
  if (!container.isBound(token)) return undefined
  let part: T
  try {
    part = container.get(token)
  } catch (cause) {
    throw badModule(cause)
  }
  checkArgument('connect', `what is bound as tokens.${name}`, part, kind)
  return part
}

function badModule(cause: unknown): StreamError {
  return new StreamError(
    'invalid-argument',
    `connect: an inversify module could not be loaded; modules and adapters are arrays of ContainerModule (${textOf(cause)})`,
    { cause },
  )
}

function findAdapter(container: Container, scheme: string): Adapter | undefined {
  const adapters = container.isBound(tokens.Adapter) ? container.getAll(tokens.Adapter) : []
  return adapters.findLast((adapter) => adapter.scheme === scheme)
}

function packageName(scheme: string): string {
  return packageOfScheme[scheme] ?? `@sluice/${scheme}`
}

async function loadAdapter(scheme: string): Promise<ContainerModule> {
  const name = packageName(scheme)
  const module = (await importFromHereOrThere(name, scheme)) as { readonly adapter?: ContainerModule }
  if (module.adapter === undefined) {
    throw new StreamError(
      'invalid-argument',
      `${name} has no export named "adapter"; pass the adapter's module in connect(..., { adapters })`,
    )
  }
  return module.adapter
}

/** An adapter is installed beside the program, which need not be where this package is. */
async function importFromHereOrThere(name: string, scheme: string): Promise<unknown> {
  try {
    return await import(name)
  } catch (here) {
    if (!isMissing(here, name)) throw loadFailed(name, here)
    const { createRequire } = await import('node:module')
    const { pathToFileURL } = await import('node:url')
    try {
      const path = createRequire(`${process.cwd()}/`).resolve(name)
      return await import(pathToFileURL(path).href)
    } catch (there) {
      if (isMissing(there, name)) throw missingAdapter(scheme, name, here)
      throw loadFailed(name, there)
    }
  }
}

function isMissing(error: unknown, name: string): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  return (
    (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND') && error.message.includes(`'${name}'`)
  )
}

function loadFailed(name: string, cause: unknown): StreamError {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_UNKNOWN_BUILTIN_MODULE') {
    return new StreamError(
      'unsupported',
      `${name} needs what Node ${process.versions.node} does not have (${textOf(cause)}); use Node 22.13 or later`,
      { cause },
    )
  }
  return new StreamError('internal', `${name} is installed but could not be loaded: ${textOf(cause)}`, { cause })
}

function missingAdapter(scheme: string, name: string, cause: unknown): StreamError {
  if (knownSchemes.includes(scheme)) {
    return new StreamError(
      'not-found',
      `there is no adapter for "${scheme}:" addresses here; install it: npm install ${name}`,
      { cause },
    )
  }
  const guess = nearest(scheme, knownSchemes)
  const known = `${guess === undefined ? '' : `did you mean "${guess}:"? `}known are ${knownSchemes.map((each) => `${each}:`).join(', ')}`
  return new StreamError(
    'invalid-argument',
    `there is no adapter for "${scheme}:" addresses; ${known}, and a third party's adapter can be passed in connect(..., { adapters })`,
    { cause },
  )
}
