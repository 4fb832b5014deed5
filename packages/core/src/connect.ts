import type { ContainerModule } from 'inversify'
import { StreamError, parseBackendUrl, specVersion } from '@sluice/driver'
import type { BackendUrl, Clock, Driver, LeaseStore, Logger, Random, TopicSpec } from '@sluice/driver'
import type { Cloud } from './api/cloud.ts'
import type { ProducerOptions } from './api/producer.ts'
import { SessionCloud } from './cloud.ts'
import type { Parts } from './composition.ts'
import { loadTelemetry } from './otel.ts'
import { clock, driver, leaseStore, logger, producerOptions, topicSpec } from './option-kinds.ts'
import { checkOptions, duration, flag, func, kind, object, signal as abortSignal } from './options.ts'
import type { Kinds } from './options.ts'
import { Session } from './session.ts'

/** How to connect. */
export interface ConnectOptions {
  /** Adapters to use instead of, or besides, loading `@sluice/<scheme>` by name. */
  readonly adapters?: readonly ContainerModule[]
  /** Further bindings: your own logger, clock, lease store, codec or driver, under `tokens`. Loaded last. */
  readonly modules?: readonly ContainerModule[]
  readonly logger?: Logger
  readonly clock?: Clock
  readonly random?: Random
  readonly leaseStore?: LeaseStore
  /** An opened driver to use instead of opening one: for tests and shims. The connection owns and closes it. */
  readonly driver?: Driver
  /** Whether topics that do not exist are made on first use. Default: on embedded backends only. */
  readonly create?: boolean
  /** How named topics should be if they have to be made. */
  readonly topics?: Readonly<Record<string, TopicSpec>>
  /** Defaults for every producer. */
  readonly producer?: ProducerOptions
  /** Gives up connecting. Default: a deadline of `connectTimeoutMs`. */
  readonly signal?: AbortSignal
  /**
   * How long connecting may take, in milliseconds, and how long a topic that is opened later waits for a backend that is away. Default
   * 15 000.
   */
  readonly connectTimeoutMs?: number
}

/** `connect` with the address inside: what a config file holds. */
export interface ConnectConfig extends ConnectOptions {
  /** For example `local:./data`. */
  readonly backend: string
}

/**
 * Opens a backend by its address. Loads the adapter `@sluice/<scheme>` unless one was given; says what to install when
 * there is none. Rejects with a StreamError within the connect deadline, and with `aborted` once its signal has.
 */
export async function connect(address: string | ConnectConfig, options?: ConnectOptions): Promise<Cloud> {
  if (options !== undefined) checkOptions('connect', options, connectOptions)
  const config: ConnectConfig =
    typeof address === 'string' ? { ...options, backend: address } : { ...address, ...options }
  checkAddress(config.backend)
  checkOptions('connect', config, connectOptions)
  const url = parseBackendUrl(config.backend)
  if (config.signal?.aborted === true) throw StreamError.aborted(config.signal, `connecting to ${url.safe}`)
  // The container costs about 0.1 s to load; programs that only import the API do not pay for it.
  const { compose } = await import('./composition.ts')
  const parts = await compose({
    adapters: config.adapters ?? [],
    modules: config.modules ?? [],
    logger: config.logger,
    clock: config.clock,
    random: config.random,
    leaseStore: config.leaseStore,
  })
  const driver = config.driver ?? parts.driver ?? (await open(url, parts, config))
  checkVersion(driver.name, driver.specVersion)
  const session = new Session({
    driver,
    clock: parts.clock,
    logger: parts.logger,
    random: parts.random,
    telemetry: await loadTelemetry(driver.name, parts.clock),
    connectTimeoutMs: config.connectTimeoutMs ?? defaultTimeoutMs,
    create: config.create ?? driver.capabilities.embedded,
    topics: config.topics ?? {},
    producer: config.producer ?? {},
    codec: parts.codec,
  })
  return new SessionCloud(session, url.safe)
}

const defaultTimeoutMs = 15_000

async function open(url: BackendUrl, parts: Parts, config: ConnectConfig): Promise<Driver> {
  const adapter = await parts.adapter(url)
  checkVersion(url.scheme, adapter.specVersion)
  const timeoutMs = config.connectTimeoutMs ?? defaultTimeoutMs
  const deadline = new AbortController()
  const signal = config.signal === undefined ? deadline.signal : AbortSignal.any([config.signal, deadline.signal])
  const givenUp = (): StreamError =>
    deadline.signal.aborted ? late(url, timeoutMs) : StreamError.aborted(signal, `connecting to ${url.safe}`)
  // Loading the adapter takes its time.
  if (signal.aborted) throw givenUp()
  const timer = parts.clock.after(timeoutMs, () => deadline.abort(late(url, timeoutMs)))
  const opening = adapter.open(url, { ...parts, signal })
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => {
    reject(givenUp())
    // Should it open after all, nobody wants it any more.
    opening.then(
      (driver) => driver.close(),
      () => undefined,
    )
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([opening, aborted])
  } catch (error) {
    throw StreamError.from(error, `${url.safe} could not be opened`)
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', onAbort)
  }
}

function late(url: BackendUrl, timeoutMs: number): StreamError {
  return new StreamError(
    'timeout',
    `${url.safe} did not answer within ${timeoutMs} ms; is it running, and is the address right?`,
    { ambiguous: false },
  )
}

const modules = kind('an array of inversify modules', Array.isArray)
const specs = kind('an object of topics and how they should be', (value) => typeof value === 'object' && value !== null)

const connectOptions: Kinds<ConnectConfig> = {
  // Checked by itself, because it may hold secrets that no message may show.
  backend: () => undefined,
  adapters: modules,
  modules,
  logger,
  clock,
  random: func,
  leaseStore,
  driver,
  create: flag,
  topics: (value, path, of) => {
    specs(value, path, of)
    for (const [topic, spec] of Object.entries(value as object)) checkOptions(of, spec, topicSpec, `${path}.${topic}`)
  },
  producer: object(producerOptions),
  signal: abortSignal,
  connectTimeoutMs: duration,
}

/** Whoever writes JavaScript, or reads the address from somewhere, may have none. */
function checkAddress(backend: unknown): void {
  if (typeof backend === 'string' && backend.trim() !== '') return
  throw new StreamError(
    'invalid-argument',
    "connect was given no address of a backend; write connect('local:./data') or connect({ backend: 'local:./data' })",
  )
}

function checkVersion(name: string, version: number): void {
  if (version === specVersion) return
  const newer = version > specVersion ? '@sluice/core' : `the adapter for "${name}:"`
  throw new StreamError(
    'unsupported',
    `the adapter for "${name}:" speaks version ${version} of the driver contract and @sluice/core version ${specVersion}; update ${newer}`,
  )
}
