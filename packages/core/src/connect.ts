import type { ContainerModule } from 'inversify'
import type { Clock, Driver, LeaseStore, Logger, Random, TopicSpec } from '@sluice/driver'
import type { Cloud, ProducerOptions } from './api.ts'

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
  /** Default 15 000. */
  readonly connectTimeoutMs?: number
}

/** `connect` with the address inside: what a config file holds. */
export interface ConnectConfig extends ConnectOptions {
  /** For example `local:./data`. */
  readonly backend: string
}

/**
 * Opens a backend by its address. Loads the adapter `@sluice/<scheme>` unless one was given; says what to install when
 * there is none. Rejects with a StreamError within the connect deadline.
 */
export declare function connect(address: string | ConnectConfig, options?: ConnectOptions): Promise<Cloud>
