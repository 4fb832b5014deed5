import type { AddressInfo, Server } from 'node:net'
import { StreamError } from '@sluice/driver'
import { notListening } from './free-port.ts'

/** How a {@link DynamoDbServer} is started. */
export interface DynamoDbServerOptions {
  /** Where it listens on 127.0.0.1. Default 0: a free port. */
  readonly port?: number
  /** Keeps tables here, so that they outlive the server. Default: in memory. */
  readonly folder?: string
}

/** What `dynalite` exports; it brings no types. */
type Dynalite = (options: {
  readonly path?: string
  readonly createTableMs: number
  readonly deleteTableMs: number
}) => Server

/** DynamoDB on a port of loopback, by the package `dynalite`: where Kinesis consumers keep their leases. */
export class DynamoDbServer implements AsyncDisposable {
  readonly port: number
  readonly #server: Server
  #closing: Promise<void> | undefined

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  /** Resolves when it listens. Rejects with `unsupported` when `dynalite` is not installed, with `conflict` when the port is taken. */
  static async start(options: DynamoDbServerOptions = {}): Promise<DynamoDbServer> {
    const dynalite = await load()
    const { port = 0, folder } = options
    const server = dynalite({ createTableMs: 0, deleteTableMs: 0, ...(folder === undefined ? {} : { path: folder }) })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => reject(notListening(port, cause)))
      server.listen(port, '127.0.0.1', resolve)
    })
    return new DynamoDbServer(server, (server.address() as AddressInfo).port)
  }

  /** `http://127.0.0.1:<port>`: the endpoint for an SDK. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= new Promise((resolve, reject) => {
      // It gives no error as null.
      this.#server.close((error?: Error | null) => (error instanceof Error ? reject(error) : resolve()))
      // Clients keep their connections; those would keep the server.
      ;(this.#server as Server & { closeAllConnections?(): void }).closeAllConnections?.()
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

async function load(): Promise<Dynalite> {
  try {
    // @ts-expect-error -- it brings no types
    const { default: dynalite } = (await import('dynalite')) as { readonly default: Dynalite }
    return dynalite
  } catch (cause) {
    throw new StreamError(
      'unsupported',
      'DynamoDB here is the package dynalite; add it: npm install --save-dev dynalite',
      {
        cause,
      },
    )
  }
}
