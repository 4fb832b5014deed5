import type { Capabilities, Limits } from '@sluice/driver'
import type { Codec } from '../codec.ts'
import type { SluiceFunction } from '../function.ts'
import type { StandardSchema } from '../standard-schema.ts'
import type { Admin } from './admin.ts'
import type { Topic, TopicOptions } from './topic.ts'
import type { Worker, WorkerOptions } from './worker.ts'

/** A connection to one backend. Close it, or hold it in `await using`. */
export interface Cloud extends AsyncDisposable {
  /** The backend's scheme. */
  readonly name: string
  /** The address it was opened with, without secrets. */
  readonly address: string
  /** What answers there, and its version, for people: `nats-server 2.15.2`. */
  readonly server: string
  readonly capabilities: Capabilities
  /** Limits of a topic that is made now; those of an existing one are told by `topic(name).limits()`. */
  readonly limits: Limits
  /** Looks after topics and groups. */
  readonly admin: Admin
  /**
   * A handle on a topic; does no I/O. The types of its values follow from the schema (what is sent from its input, what is
   * received from its output) or the codec, and are `unknown` JSON without.
   */
  topic(name: string): Topic<unknown>
  topic<Out, In = Out>(
    name: string,
    options: TopicOptions<Out, In> & { readonly schema: StandardSchema<In, Out> },
  ): Topic<Out, In>
  topic<T>(name: string, options: TopicOptions<T> & { readonly codec: Codec<T> }): Topic<T>
  topic(name: string, options: TopicOptions<unknown>): Topic<unknown>
  /** A member of a function's group: reads `from`, applies the function, writes `to`. Starts with its first `run`. */
  worker<I, O>(definition: SluiceFunction<I, O>, options: WorkerOptions): Worker
  /**
   * Asks what opening the connection has not asked and consumers need, such as the service that keeps their leases. Rejects with
   * what is wrong, a `StreamError`. Costs a request, or none.
   */
  check(signal?: AbortSignal): Promise<void>
  /**
   * Lets running handlers finish, sends what is buffered, and closes everything opened through this connection. Rejects
   * with the first error of these closes, `timeout` when something had to be given up. Idempotent.
   */
  close(options?: CloseOptions): Promise<void>
  /** The vendor SDK's client. Code that uses it no longer moves between clouds. */
  native(): unknown
}

/** How long a close may take. */
export interface CloseOptions {
  /**
   * After this many milliseconds what is left is given up and named in the error, a `timeout`. Default 30 000. A second close
   * with less time waits no longer than its own, and up to 6 s for what is let go; the first one goes on.
   */
  readonly timeoutMs?: number
}
