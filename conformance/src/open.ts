import { Container } from 'inversify'
import type { ContainerModule } from 'inversify'
import { parseBackendUrl, silentLogger, StreamError, systemClock, tokens } from '@sluice/driver'
import type { Adapter, Clock, Driver, OpenContext } from '@sluice/driver'
import type { Harness } from './harness.ts'
import { seededRandom, seedOf } from './random.ts'

/** What a case may choose when it opens a driver. */
export interface OpenDriverOptions {
  readonly clock?: Clock
  readonly signal?: AbortSignal
}

/** The address of a harness's backend. */
export async function addressOf(harness: Harness): Promise<string> {
  return typeof harness.url === 'string' ? harness.url : harness.url()
}

/** Opens a connection to the harness's backend, without mutants and shims. */
export async function openHarness(harness: Harness, options: OpenDriverOptions = {}): Promise<Driver> {
  const address = await addressOf(harness)
  const context: OpenContext = {
    clock: options.clock ?? harness.connectOptions?.clock ?? systemClock,
    logger: harness.connectOptions?.logger ?? silentLogger,
    random: harness.connectOptions?.random ?? seededRandom(seedOf(harness.name)),
    leaseStore: harness.connectOptions?.leaseStore,
    signal: options.signal ?? new AbortController().signal,
  }
  if (harness.open !== undefined) return harness.open(address, context)
  const url = parseBackendUrl(address)
  const adapter = await findAdapter(harness, url.scheme)
  return adapter.open(url, context)
}

async function findAdapter(harness: Harness, scheme: string): Promise<Adapter> {
  const container = new Container()
  const modules = harness.adapters ?? [await loadAdapter(scheme)]
  container.load(...modules)
  const adapters = container.getAll<Adapter>(tokens.Adapter)
  const adapter = adapters.find((one) => one.scheme === scheme)
  if (adapter !== undefined) return adapter
  const known = adapters.map((one) => one.scheme).join(', ')
  throw new StreamError('invalid-argument', `harness ${harness.name}: none of its adapters (${known}) opens ${scheme}:`)
}

async function loadAdapter(scheme: string): Promise<ContainerModule> {
  const name = `@sluice/${scheme === 'memory' ? 'local' : scheme}`
  const { adapter } = (await import(name)) as { readonly adapter?: ContainerModule }
  if (adapter !== undefined) return adapter
  throw new StreamError('invalid-argument', `${name} has no export named "adapter"; give the harness its \`adapters\``)
}
