import { systemClock } from '@sluice/driver'
import type { Clock } from '@sluice/driver'
import { notListening } from '../free-port.ts'
import type { Credentials } from './http/authorization.ts'
import { Exchange } from './http/exchange.ts'
import { Listener } from './http/listener.ts'
import type { Faults } from './faults.ts'
import { Service } from './service.ts'

/** How a {@link KinesisServer} is started. */
export interface KinesisServerOptions {
  /** Where it listens on 127.0.0.1. Default 0: a free port. */
  readonly port?: number
  /** Keeps streams and records here, so that they outlive the server. Default: in memory. */
  readonly folder?: string
  /** Enforces the service's quotas for shards and calls. Default true. */
  readonly quotas?: boolean
  /** How long a stream is `CREATING`, `UPDATING` or `DELETING`, and a consumer registered, in milliseconds. Default 50. */
  readonly stateMs?: number
  /** Open shards of provisioned streams in a region. Default 500. */
  readonly shardLimit?: number
  /** The account's number, of twelve digits. Default `000000000000`. */
  readonly account?: string
  /** Whose requests are taken: signatures are checked. Default: whoever signs at all. */
  readonly credentials?: readonly Credentials[]
  /** How long an iterator can be used, in milliseconds. Default 300 000, as the service has it. */
  readonly iteratorMs?: number
  /** How long a subscription lasts, in milliseconds. Default 300 000, as the service has it. */
  readonly subscriptionMs?: number
  /** How soon after a subscription another of the same consumer and shard is refused, in milliseconds. Default 5 000, as the service has it. */
  readonly resubscribeMs?: number
  /** Default: the machine's. */
  readonly clock?: Clock
}

/**
 * Amazon Kinesis Data Streams on a port of loopback, for tests and for work without a cloud: HTTP/1.1 and HTTP/2, JSON and CBOR,
 * with the service's quotas, its states that take time, and faults on demand. Every region is there; the one that a request
 * was signed for is used.
 */
export class KinesisServer implements AsyncDisposable {
  readonly port: number
  readonly #service: Service
  readonly #listener: Listener
  #closing: Promise<void> | undefined

  private constructor(service: Service, listener: Listener, port: number) {
    this.#service = service
    this.#listener = listener
    this.port = port
  }

  /** Resolves when it listens. Rejects with `conflict` when the port is taken, and when the folder cannot be used. */
  static async start(options: KinesisServerOptions = {}): Promise<KinesisServer> {
    const service = new Service({
      account: options.account ?? '000000000000',
      clock: options.clock ?? systemClock,
      folder: options.folder,
      quotas: options.quotas ?? true,
      stateMs: options.stateMs ?? 50,
      shardLimit: options.shardLimit ?? 500,
      iteratorMs: options.iteratorMs ?? 300_000,
      subscriptionMs: options.subscriptionMs ?? 300_000,
      resubscribeMs: options.resubscribeMs ?? 5_000,
    })
    const exchange = new Exchange(service, options.credentials)
    const listener = new Listener((request, response) => void exchange.handle(request, response))
    try {
      return new KinesisServer(service, listener, await listener.listen(options.port ?? 0))
    } catch (cause) {
      service.close()
      throw notListening(options.port ?? 0, cause)
    }
  }

  /** `http://127.0.0.1:<port>`: the endpoint for an SDK. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** What it is told to do wrong. */
  get faults(): Faults {
    return this.#service.faults
  }

  /** Ends every connection. What was acknowledged is in the folder, where there is one. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    await this.#listener.close()
    this.#service.close()
  }
}
