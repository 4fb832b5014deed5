import type { ContainerModule } from 'inversify'
import type { Cloud, ConnectOptions } from '@sluice/core'
import type { Capabilities, Driver, ErrorCode, Limits, OpenContext, TopicOrder, TopicSpec } from '@sluice/driver'
import type { Endpoint } from './faults/tcp-proxy.ts'

/** How long things take on this backend, in milliseconds. What is left out suits an embedded backend. */
export interface Tuning {
  /** After this long without a sign of life a member's partitions go to others. Default 600. */
  readonly failoverMs: number
  /** How long to look for extra deliveries after the last expected one. Default 120. */
  readonly settleMs: number
  /** How long `eventually` waits for what must come. Default 8 000. */
  readonly patienceMs: number
  /** The deadline of a case that names none. Default 20 000. */
  readonly caseMs: number
  /** Records of the large backlog in `flow/credits-bounded`. Default 100 000. */
  readonly backlog: number
  /** How far the backend's clock may be from ours. Default 1 000. */
  readonly clockSkewMs: number
  /** How long `fault/partition-30s` keeps the broker away. Default 30 000. */
  readonly partitionMs: number
  /** How long a connection may be dead before its client has to have noticed. Default 10 000. */
  readonly deadConnectionMs: number
  /** The deadline for opening a connection to a broker that is not there. Default 15 000. */
  readonly connectMs: number
}

/** What an embedded backend needs. */
export const defaultTuning: Tuning = {
  failoverMs: 600,
  settleMs: 120,
  patienceMs: 8_000,
  caseMs: 20_000,
  backlog: 100_000,
  clockSkewMs: 1_000,
  partitionMs: 30_000,
  deadConnectionMs: 10_000,
  connectMs: 15_000,
}

/** One native error of the backend's SDK, and what it must become. */
export interface NativeError {
  readonly error: unknown
  readonly code: ErrorCode
  /** Default: what the code implies. */
  readonly retryable?: boolean
}

/** A backend behind a TCP connection, which can be made to suffer. */
export interface Broker {
  /** Where it listens. */
  readonly endpoint: Endpoint
  /** The harness's address, with another host and port in it. */
  readonly urlAt: (endpoint: Endpoint) => string
  /** The same with times that suit a line with seconds of latency. Default: `urlAt`. */
  readonly patientUrlAt?: (endpoint: Endpoint) => string
  /** SIGKILLs it and starts it again, with its data, at the same place; resolves when it answers. Where that can be done. */
  readonly restart?: () => Promise<void>
  /** Where leases are kept, if not in it. */
  readonly leaseStore?: Pick<Broker, 'endpoint' | 'urlAt'>
}

/** A backend under test. Only `name` and `url` are needed. */
export interface Harness {
  /** Names the backend in reports: `local`, `nats (file, 3 replicas)`. */
  readonly name: string
  /** The address of one and the same backend, each time. May contain secrets. */
  readonly url: string | (() => Promise<string>)
  /** The adapter under test, unless it can be loaded as `@sluice/<scheme>`. */
  readonly adapters?: readonly ContainerModule[]
  /** Opens the backend in another way than by its adapter. */
  readonly open?: (url: string, context: OpenContext) => Promise<Driver>
  /** Sits between core and the driver, above the shim: how a mutant gets in. */
  readonly mutate?: (driver: Driver) => Driver
  /** Sits above core: how a mutant gets in whose bug lives there. */
  readonly mutateCloud?: (cloud: Cloud) => Cloud
  /** How topics should be made here. `order` decides which half of the contract is run. */
  readonly topicSpec?: TopicSpec
  readonly connectOptions?: ConnectOptions
  /** Whether a child process can reach the same backend by `connect(url)`, so that it can be killed. Default false. */
  readonly canKill?: boolean
  /** The most copies that one successful send can leave (an answer lost where there is no deduplication). Default 1. */
  readonly copies?: number
  /**
   * A record that was acknowledged may come again after a hand-over or a kill, when an earlier one was not done: queues
   * without exactly-once delivery. Default false.
   */
  readonly ackedMayRepeat?: boolean
  /** So many records that were acknowledged may come again in a case in which members come and go: a server's defect. Default 0. */
  readonly strayRepeats?: number
  /** Errors of the SDK, for `errors/code-table`. */
  readonly nativeErrors?: readonly NativeError[]
  /** An address the backend must refuse for its credentials, for `errors/unauthenticated`. */
  readonly badCredentialsUrl?: string
  /** The broker behind `url`, for the `fault` cases. */
  readonly broker?: () => Promise<Broker>
  /** Whether that broker can be killed and started again. Default false. */
  readonly canRestart?: boolean
  /** A text inside `url` that must never be seen in a message. Default: the password of the address. */
  readonly secret?: string
  readonly tuning?: Partial<Tuning>
  /** Deletes the topics of each case when it has ended: for places where they are few, or paid for. Default false. */
  readonly tidy?: boolean
  /** Called when the suite has ended. */
  readonly close?: () => Promise<void>
}

/** What is known of the backend before a case runs. */
export interface World {
  readonly harness: Harness
  readonly tuning: Tuning
  readonly capabilities: Capabilities
  /** Limits of a topic made the way this harness makes them. */
  readonly limits: Limits
  /** The order of the suite's topics. */
  readonly order: TopicOrder
  /** How the suite's topics are read. */
  readonly shape: 'log' | 'queue'
}
