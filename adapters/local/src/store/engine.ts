import { lostFile, toWire } from '../errors.ts'
import { StoreClock } from './clock.ts'
import type { MachineClock } from './clock.ts'
import type { Database } from './database.ts'
import { Parts } from './handlers.ts'
import type { Handlers } from './handlers.ts'
import { AppendRefused } from './log.ts'
import type { Answer, FromStore, ReadResult, ToStore } from './protocol.ts'
import { Waiters } from './waiters.ts'
import type { Call } from './waiters.ts'

/** Where answers go. The buffers listed are given away. */
export type Post = (message: FromStore, transfer: ArrayBuffer[]) => void

/** The connection was of no use to a whole transaction: none of its writes were stored. */
class TransactionFailed extends Error {
  /** Whether each write deserves a try of its own. */
  readonly separable: boolean

  constructor(cause: unknown, separable: boolean) {
    super('the transaction failed', { cause })
    this.separable = separable
  }
}

/**
 * Everything the store does, on one thread and one connection. All writes that are waiting when it gets to work share
 * one transaction and so one sync of the disk; each still succeeds or fails by itself.
 */
export class Engine {
  readonly #database: Database
  readonly #post: Post
  readonly #parts: Parts
  readonly #waiters: Waiters
  #answers: Answer[] = []
  /** The file was found gone: nothing is done or answered any more. */
  #lost = false

  constructor(database: Database, host: string, machine: MachineClock, post: Post) {
    this.#database = database
    this.#post = post
    this.#parts = new Parts(database, host, new StoreClock(database, machine))
    this.#waiters = new Waiters(database, machine, this.#parts.queue, (calls) => {
      this.#serve(calls)
      this.#flush()
    })
  }

  /** Does everything that is asked, writes first, and answers with one message. */
  handle(messages: readonly ToStore[]): void {
    const writes: Call[] = []
    const others: Call[] = []
    const cancelled = new Set<number>()
    for (const message of messages) {
      if (message.kind === 'cancel') cancelled.add(message.id)
      if (message.kind !== 'call') continue
      if (message.call in this.#parts.writes && message.call !== 'pull') writes.push(message)
      else others.push(message)
    }
    this.#write(writes)
    this.#waiters.touch(writes)
    this.#serve(others)
    this.#waiters.cancel(cancelled)
    this.#flush()
  }

  /** Ends every wait and closes the connection. */
  close(): void {
    this.#waiters.close()
    this.#flush()
    this.#database.close()
  }

  #write(calls: readonly Call[]): void {
    if (calls.length === 0 || this.#lost) return
    try {
      const answers = this.#transaction(calls)
      const place = this.#database.lostPlace()
      if (place !== undefined) return this.#lose(place)
      for (const answer of answers) this.#answers.push(answer)
    } catch (error) {
      this.#parts.log.rolledBack()
      const failed = error instanceof TransactionFailed ? error : new TransactionFailed(error, false)
      if (failed.separable && calls.length > 1) for (const call of calls) this.#write([call])
      else for (const call of calls) this.#fail(call.id, failed.cause)
    }
  }

  /** What was committed may be lost, so whoever waits for an answer is told that; and whoever asks later. */
  #lose(place: string): void {
    this.#lost = true
    this.#post({ kind: 'failed', error: toWire(lostFile(place)) }, [])
  }

  #transaction(calls: readonly Call[]): readonly Answer[] {
    try {
      this.#database.exec('BEGIN IMMEDIATE')
    } catch (error) {
      throw new TransactionFailed(error, false)
    }
    try {
      const answers = calls.map((call) => this.#writeOne(call))
      this.#commit()
      return answers
    } catch (error) {
      this.#database.rollback()
      throw new TransactionFailed(error, true)
    }
  }

  /** Runs one write so that its failure leaves the others of the transaction alone. */
  #writeOne(call: Call): Answer {
    this.#database.exec('SAVEPOINT one')
    try {
      const result = run(this.#parts.writes, call)
      this.#database.exec('RELEASE one')
      return { id: call.id, ok: true, result, ...spareOf(call) }
    } catch (error) {
      // SQLite ends the transaction by itself when the disk is full, for one: then all of it is undone.
      if (!this.#database.rollbackTo('one')) throw error
      if (error instanceof AppendRefused) return { id: call.id, ok: true, result: error.result, ...spareOf(call) }
      return { id: call.id, ok: false, error: toWire(error), ...spareOf(call) }
    }
  }

  #commit(): void {
    try {
      this.#database.exec('COMMIT')
    } catch (error) {
      throw error instanceof Error ? Object.assign(error, { committing: true }) : error
    }
  }

  /** Answers reads, and pulls and reads that wait for records if there are any. */
  #serve(calls: readonly Call[]): void {
    if (this.#lost) return
    const pulls: Call[] = []
    for (const call of calls) {
      try {
        if (call.call === 'pull' && this.#parts.queue.ready(call.request)) pulls.push(call)
        else if (call.call === 'pull') this.#wait(call, [])
        else this.#read(call)
      } catch (error) {
        this.#fail(call.id, error)
      }
    }
    this.#write(pulls)
  }

  #read(call: Call): void {
    const result = run(this.#parts.reads, call)
    if (call.call === 'read' && isEmptyRead(result as ReadResult)) this.#wait(call, result)
    else this.#answers.push({ id: call.id, ok: true, result })
  }

  #wait(call: Call, nothing: unknown): void {
    if (!this.#waiters.add(call)) this.#answers.push({ id: call.id, ok: true, result: nothing })
  }

  #fail(id: number, error: unknown): void {
    this.#answers.push({ id, ok: false, error: toWire(error) })
  }

  #flush(): void {
    if (this.#answers.length === 0 || this.#lost) return
    const answers = this.#answers
    this.#answers = []
    this.#post({ kind: 'answers', answers }, answers.flatMap(buffersOf))
  }
}

function run(handlers: Handlers, call: Call): unknown {
  const handler = handlers[call.call] as ((request: unknown) => unknown) | undefined
  if (handler === undefined) throw new Error(`the store knows no call "${call.call}"`)
  return handler(call.request)
}

function isEmptyRead(result: ReadResult): boolean {
  return result.batches.length === 0 && result.ended.length === 0
}

function spareOf(call: Call): { readonly spare?: ArrayBuffer } {
  return call.call === 'append' ? { spare: call.request.buffer } : {}
}

/** The buffers of an answer that can be given away: those that hold one batch and nothing else. */
function buffersOf(answer: Answer): ArrayBuffer[] {
  if (answer.spare !== undefined) return [answer.spare]
  if (!answer.ok || typeof answer.result !== 'object' || answer.result === null) return []
  const items: readonly { body?: unknown }[] =
    'batches' in answer.result
      ? (answer.result as ReadResult).batches
      : Array.isArray(answer.result)
        ? answer.result
        : []
  const buffers: ArrayBuffer[] = []
  for (const { body } of items) {
    if (body instanceof Uint8Array && body.buffer instanceof ArrayBuffer && body.buffer.byteLength === body.length) {
      if (body.length > 0) buffers.push(body.buffer)
    }
  }
  return buffers
}
