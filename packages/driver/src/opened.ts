import { StreamError } from './errors.ts'

interface Closable {
  close(): Promise<void>
}

/** Everything that is open on one connection, which is closed with it. */
export class Opened {
  readonly #address: string
  readonly #things = new Set<Closable>()
  #closing: Promise<void> | undefined

  /** `address`: the connection's, for messages; without its secrets. */
  constructor(address: string) {
    this.#address = address
  }

  /** Whether the connection is being closed, or is closed. */
  get closed(): boolean {
    return this.#closing !== undefined
  }

  /** Throws `closed` once the connection is being closed; `what` is for the message: `open a topic`. */
  refuseClosed(what: string): void {
    if (this.closed) throw new StreamError('closed', `cannot ${what}: the connection to ${this.#address} is closed`)
  }

  /** Makes a thing that is closed with the connection, unless it says before that it was closed. Refuses as `refuseClosed`. */
  add<T extends Closable>(what: string, make: (onClosed: () => void) => T): T {
    this.refuseClosed(what)
    const thing: T = make(() => this.#things.delete(thing))
    this.#things.add(thing)
    return thing
  }

  /** Closes what is open, and then the connection itself by `last`. Idempotent. */
  close(last: () => void | Promise<void>): Promise<void> {
    this.#closing ??= this.#close(last)
    return this.#closing
  }

  async #close(last: () => void | Promise<void>): Promise<void> {
    await Promise.allSettled([...this.#things].map((thing) => thing.close()))
    await last()
  }
}
