import type { NatsConnection } from '@nats-io/transport-node'
import { RenewedSet } from '@sluice/driver'
import { DisconnectedError } from './errors.ts'

/**
 * The requests of a client that have no answer yet. When the connection breaks there will be none, and the client itself
 * would wait until the time of each is over: commits, leases and acknowledgements for seconds after the connection stands
 * again.
 */
export class Questions {
  readonly #open = new RenewedSet<(error: DisconnectedError) => void>()

  /** From now on keeps what the client asks, also in the names of JetStream and its buckets. */
  constructor(client: NatsConnection) {
    const request = client.request.bind(client)
    client.request = (subject, payload, options) => this.#keep(request(subject, payload, options))
  }

  /**
   * The connection broke, or stands again: what was asked meanwhile was dropped by the client. Whether the server has done
   * what was asked before is not known.
   */
  giveUp(): void {
    for (const reject of this.#open.values()) reject(new DisconnectedError())
    this.#open.clear()
  }

  async #keep<T>(answer: Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#open.add(reject)
    answer.then(resolve, reject)
    try {
      return await promise
    } finally {
      this.#open.delete(reject)
    }
  }
}
