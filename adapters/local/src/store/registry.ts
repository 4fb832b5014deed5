import type { ErrorContext } from '@sluice/driver'
import { StoreClient } from './client.ts'
import type { StoreOptions } from './schema.ts'

interface Shared {
  readonly client: Promise<StoreClient>
  users: number
}

/** A share of a store: the thread ends when the last share is given back. */
export interface StoreShare {
  readonly client: StoreClient
  /** Gives the share back. Idempotent. */
  release(): Promise<void>
  /**
   * Has something put in order at the end. Where the thread has died and a folder is left, another thread is opened for
   * it: this process lives on, so nobody else would ever take its members for dead.
   */
  tidy(work: (client: StoreClient) => Promise<void>): Promise<void>
}

/** The stores that are open in this process: connections to one folder, or one name in memory, share a thread. */
export class StoreRegistry {
  readonly #stores = new Map<string, Shared>()

  /** Opens the store, or shares it when `key` is open already. Without a key it is private. */
  async acquire(key: string | undefined, options: StoreOptions, context: ErrorContext): Promise<StoreShare> {
    if (key === undefined) {
      const client = await StoreClient.open(options, context)
      return { client, release: () => client.close(), tidy: (work) => work(client) }
    }
    let shared = this.#stores.get(key)
    if (shared === undefined) {
      shared = { client: StoreClient.open(options, context), users: 0 }
      this.#stores.set(key, shared)
    }
    shared.users++
    try {
      const client = await shared.client
      client.onFailure(() => this.#forget(key, shared))
      const reopen = options.folder === undefined ? undefined : () => this.acquire(key, options, context)
      return {
        client,
        release: once(() => this.#release(key, shared)),
        tidy: (work) => tidy(client, work, reopen),
      }
    } catch (error) {
      this.#forget(key, shared)
      throw error
    }
  }

  async #release(key: string, shared: Shared): Promise<void> {
    shared.users--
    if (shared.users > 0) return
    this.#forget(key, shared)
    await (await shared.client).close()
  }

  #forget(key: string, shared: Shared): void {
    if (this.#stores.get(key) === shared) this.#stores.delete(key)
  }
}

async function tidy(
  client: StoreClient,
  work: (client: StoreClient) => Promise<void>,
  reopen: (() => Promise<StoreShare>) | undefined,
): Promise<void> {
  try {
    await work(client)
  } catch (error) {
    if (!client.dead || reopen === undefined) throw error
    const share = await reopen()
    try {
      await work(share.client)
    } finally {
      await share.release()
    }
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined
  return () => {
    result ??= run()
    return result
  }
}
