import { Worker } from 'node:worker_threads'
import { RenewedMap, StreamError } from '@sluice/driver'
import type { ErrorContext } from '@sluice/driver'
import { fromWire, toStreamError } from '../errors.ts'
import type { WireError } from '../errors.ts'
import { BufferPool } from './buffer-pool.ts'
import type { Answer, CallRequest, CallResult, FromStore, StoreCall, ToStore } from './protocol.ts'
import type { StoreOptions } from './schema.ts'

interface Pending {
  readonly context: ErrorContext
  readonly resolve: (result: unknown) => void
  readonly reject: (error: StreamError) => void
}

/** One call and the number by which it can be cancelled. */
export interface StartedCall<T> {
  readonly id: number
  readonly result: Promise<T>
}

/** The store's thread as the main thread sees it: calls and answers. */
export class StoreClient {
  /** Buffers for requests: they come back with the answers. */
  readonly buffers: BufferPool = new BufferPool()
  readonly #worker: Worker
  readonly #pending = new RenewedMap<number, Pending>()
  readonly #failureListeners = new Set<(error: StreamError) => void>()
  readonly #exited: Promise<void>
  #nextId = 1
  #failure: StreamError | undefined
  #lost = false
  #closing: Promise<void> | undefined

  private constructor(worker: Worker) {
    this.#worker = worker
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()))
    worker.on('message', (message: FromStore) => {
      if (message.kind === 'answers') for (const answer of message.answers) this.#settle(answer)
      if (message.kind === 'failed') this.#lose(message.error)
    })
    worker.on('error', (error) => this.#fail(error))
    worker.on('exit', (code) => this.#fail(new Error(`the store's thread ended with code ${code}`)))
  }

  /** Starts the thread and resolves once the store is open. Rejects with what is wrong with the folder. */
  static async open(options: StoreOptions, context: ErrorContext): Promise<StoreClient> {
    const fromSource = import.meta.url.endsWith('.ts')
    const worker = new Worker(new URL(fromSource ? './worker.ts' : './worker.js', import.meta.url), {
      workerData: options,
      ...(fromSource ? { execArgv: ['--conditions=@sluice/source'] } : {}),
    })
    const client = new StoreClient(worker)
    const failure = await new Promise<WireError | undefined>((resolve, reject) => {
      worker.once('error', reject)
      worker.once('message', (message: FromStore) => resolve(message.kind === 'failed' ? message.error : undefined))
    }).catch((error: unknown) => {
      throw toStreamError(error, context)
    })
    if (failure !== undefined) {
      await client.#exited
      throw fromWire(failure, context)
    }
    worker.unref()
    return client
  }

  /** Asks the store. `transfer` is given away with the request. */
  call<C extends StoreCall>(
    call: C,
    request: CallRequest<C>,
    context: ErrorContext,
    transfer: ArrayBuffer[] = [],
  ): Promise<CallResult<C>> {
    return this.start(call, request, context, transfer).result
  }

  /** As {@link call}, for calls that wait and may have to be cancelled. */
  start<C extends StoreCall>(
    call: C,
    request: CallRequest<C>,
    context: ErrorContext,
    transfer: ArrayBuffer[] = [],
  ): StartedCall<CallResult<C>> {
    const id = this.#nextId++
    if (this.#failure !== undefined) return { id, result: Promise.reject(this.#failure) }
    if (this.#closing !== undefined) return { id, result: Promise.reject(closed(context)) }
    const result = new Promise<CallResult<C>>((resolve, reject) => {
      if (this.#pending.size === 0) this.#worker.ref()
      this.#pending.set(id, { context, resolve: resolve as (result: unknown) => void, reject })
    })
    this.#post({ kind: 'call', id, call, request } as ToStore, transfer)
    return { id, result }
  }

  /** Has a call that waits answered at once, with what there is. */
  cancel(id: number): void {
    if (this.#failure === undefined && this.#pending.has(id)) this.#post({ kind: 'cancel', id }, [])
  }

  /** Calls `listener` when the thread dies. Returns what takes it back. */
  onFailure(listener: (error: StreamError) => void): () => void {
    this.#failureListeners.add(listener)
    return () => this.#failureListeners.delete(listener)
  }

  /** Lets what was asked finish, then ends the thread. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  /** Whether the thread has ended without having been asked to, and its file is where it was. */
  get dead(): boolean {
    return this.#failure !== undefined && this.#closing === undefined && !this.#lost
  }

  /** The thread itself. */
  get worker(): Worker {
    return this.#worker
  }

  async #close(): Promise<void> {
    this.#worker.ref()
    if (this.#failure === undefined) this.#post({ kind: 'close' }, [])
    await this.#exited
  }

  #post(message: ToStore, transfer: ArrayBuffer[]): void {
    this.#worker.postMessage(message, transfer)
  }

  #settle(answer: Answer): void {
    if (answer.spare !== undefined) this.buffers.give(answer.spare)
    const pending = this.#pending.get(answer.id)
    if (pending === undefined) return
    this.#pending.delete(answer.id)
    if (this.#pending.size === 0 && this.#closing === undefined) this.#worker.unref()
    if (answer.ok) pending.resolve(answer.result)
    else pending.reject(fromWire(answer.error, pending.context))
  }

  /** The store cannot be opened, or has lost its file: it is told to end. */
  #lose(error: WireError): void {
    this.#lost = true
    this.#end(fromWire(error, { operation: 'use the log' }))
    this.#post({ kind: 'close' }, [])
  }

  #fail(cause: unknown): void {
    const expected = this.#closing !== undefined
    this.#end(
      new StreamError(
        expected ? 'closed' : 'internal',
        expected ? 'the log was closed' : 'the thread of the log has died; close the connection and open it again',
        { cause, ambiguous: !expected },
      ),
    )
  }

  /** Nothing that was asked will be answered, and of writes nobody knows. */
  #end(error: StreamError): void {
    this.#failure ??= error
    for (const pending of this.#pending.values()) pending.reject(this.#failure)
    this.#pending.clear()
    if (this.#closing === undefined) for (const listener of this.#failureListeners) listener(this.#failure)
    this.#failureListeners.clear()
  }
}

function closed(context: ErrorContext): StreamError {
  return new StreamError('closed', `${context.operation} failed: the log is closed`)
}
