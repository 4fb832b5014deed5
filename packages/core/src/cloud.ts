import type { Capabilities, Limits } from '@sluice/driver'
import { SessionAdmin } from './admin.ts'
import type { Admin } from './api/admin.ts'
import type { CloseOptions, Cloud } from './api/cloud.ts'
import type { Topic, TopicOptions } from './api/topic.ts'
import type { Worker, WorkerOptions } from './api/worker.ts'
import type { SluiceFunction } from './function.ts'
import type { Session } from './session.ts'
import { TopicHandle } from './topic.ts'
import { FunctionWorker } from './worker.ts'

/** A connection, as users hold it. */
export class SessionCloud implements Cloud {
  readonly name: string
  readonly address: string
  readonly server: string
  readonly capabilities: Capabilities
  readonly limits: Limits
  readonly admin: Admin
  readonly #session: Session
  readonly #topics = new Map<string, Topic<unknown>>()

  constructor(session: Session, address: string) {
    this.#session = session
    this.name = session.deps.driver.name
    this.address = address
    this.server = session.deps.driver.server
    this.capabilities = session.deps.driver.capabilities
    this.limits = session.deps.driver.limits
    this.admin = new SessionAdmin(session)
  }

  topic<Out, In = Out>(name: string, options?: TopicOptions<Out, In>): Topic<Out, In> {
    if (options !== undefined) return new TopicHandle<Out, In>(name, options, this.#session)
    // Plain handles are shared, so that sends through two of them keep the order of a key.
    const known = this.#topics.get(name) ?? new TopicHandle<unknown>(name, {}, this.#session)
    this.#topics.set(name, known)
    return known as Topic<Out, In>
  }

  worker<I, O>(definition: SluiceFunction<I, O>, options: WorkerOptions): Worker {
    return new FunctionWorker(definition, options, this.#session)
  }

  async check(signal: AbortSignal = new AbortController().signal): Promise<void> {
    await this.#session.deps.driver.check?.(signal)
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#session.close(options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  native(): unknown {
    return this.#session.deps.driver.native()
  }
}
