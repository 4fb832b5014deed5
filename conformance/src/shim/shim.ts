import { StreamError } from '@sluice/driver'
import type { Driver, OutgoingRecord } from '@sluice/driver'
import { matches } from './call.ts'
import type { Call, Match, Operation, PartitionEvent } from './call.ts'
import { Gate } from './gate.ts'
import { makeError, Rules } from './rules.ts'
import type { Failure, Rule, Times } from './rules.ts'
import { shimDriver } from './wrap.ts'

/**
 * Sits between core and a driver, and makes chosen calls go wrong in the ways real backends do. Give `driver` to
 * `connect(address, { driver })`. Everything that core asks is written down in `calls`, everything the source tells
 * core in `events`. Without rules it changes nothing.
 */
export class RequestShim {
  /** The driver to hand to `connect`. */
  readonly driver: Driver
  /** Every call so far, oldest first. */
  readonly calls: Call[] = []
  /** Every partition event so far, oldest first. */
  readonly events: PartitionEvent[] = []
  readonly #rules = new Rules()
  readonly #running = new Map<Operation, number>()
  readonly #sources = new Set<{ close(): Promise<void> }>()
  readonly #dead = new Gate()
  #crashed = false
  #buried = false

  constructor(driver: Driver) {
    this.driver = shimDriver(driver, {
      through: (facts, signal, real) => this.#through(facts, signal, real),
      failureOf: (record, call) => this.#rules.failureOf(record, call),
      event: (event) => {
        if (this.#crashed) return false
        this.events.push(event)
        return true
      },
      opened: (source) => {
        this.#sources.add(source)
        // It was on its way when its process died: nobody is there to poll it, and so nobody may keep its leases alive.
        if (this.#crashed) void source.close()
      },
      closed: (source) => void this.#sources.delete(source),
      crashed: () => this.#crashed,
    })
  }

  /** Calls of one kind, oldest first. */
  callsOf(match: Operation | Match): readonly Call[] {
    return this.calls.filter((call) => matches(match, call))
  }

  /** Fails calls before they reach the backend. */
  fail(match: Operation | Match, failure: Failure, options: Times = {}): Rule {
    return this.#rules.add(match, { before: (call) => Promise.reject(makeError(failure, call)) }, options.times)
  }

  /**
   * Fails chosen records of requests; the others are sent. Where the driver keeps the order inside a request, later
   * records of a failed one's key fail with it, as the contract says.
   */
  failRecords(chosen: (record: OutgoingRecord, call: Call) => boolean, failure: Failure, options: Times = {}): Rule {
    return this.#rules.add(
      { operation: ['sendBatch'] },
      { record: (record, call) => (chosen(record, call) ? makeError(failure, call) : undefined) },
      options.times,
    )
  }

  /** Lets calls reach the backend and then loses the answer: an ambiguous failure. Default: `timeout`. */
  loseAnswer(match: Operation | Match, options: Times & { readonly failure?: Failure } = {}): Rule {
    return this.#rules.add(
      match,
      {
        after: (call) => {
          throw makeError(options.failure ?? 'timeout', call, { ambiguous: true })
        },
      },
      options.times,
    )
  }

  /** Holds calls up for so many milliseconds. */
  delay(match: Operation | Match, ms: number | ((call: Call) => number), options: Times = {}): Rule {
    const wait = async (call: Call): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, typeof ms === 'number' ? ms : ms(call)))
    }
    return this.#rules.add(match, { before: wait }, options.times)
  }

  /** Holds calls until the rule is removed. A call's own signal ends it with `aborted`. */
  hang(match: Operation | Match, options: Times = {}): Rule {
    const gate = new Gate()
    return this.#rules.add(match, { before: (call, signal) => gate.wait(call.operation, signal) }, options.times, () =>
      gate.open(),
    )
  }

  /** Answers calls with `throttled` for so long, from the first one on. */
  throttle(match: Operation | Match, forMs: number, options: { readonly retryAfterMs?: number } = {}): Rule {
    let end: number | undefined
    const hint = options.retryAfterMs === undefined ? {} : { retryAfterMs: options.retryAfterMs }
    return this.#rules.add(match, {
      before: (call) => {
        end ??= performance.now() + forMs
        return performance.now() < end ? Promise.reject(makeError('throttled', call, hint)) : Promise.resolve()
      },
    })
  }

  /** Takes every rule out; calls held back go on. */
  clear(): void {
    this.#rules.clear()
  }

  /**
   * What a SIGKILL is to the backend: from now on no call of this connection gets through and none is answered, and
   * its members are gone without a commit. Calls already at the backend may still take effect.
   */
  async crash(): Promise<void> {
    this.#crashed = true
    await Promise.all([...this.#sources].map((source) => source.close()))
  }

  /** Ends the calls that a crash left hanging, with `closed`, so that the dead connection can be cleaned up. */
  bury(): void {
    this.#buried = true
    this.#rules.clear()
    this.#dead.open()
  }

  async #through<T>(
    facts: Partial<Call> & { operation: Operation },
    signal: AbortSignal | undefined,
    real: (call: Call) => Promise<T>,
  ): Promise<T> {
    const call = this.#begin(facts)
    try {
      await this.#deadEnd(call, signal)
      const effects = this.#rules.take(call)
      for (const effect of effects) await effect.before?.(call, signal)
      await this.#deadEnd(call, signal)
      const result = await real(call)
      await this.#deadEnd(call, signal)
      for (const effect of effects) effect.after?.(call)
      return result
    } catch (error) {
      call.error = error
      throw error
    } finally {
      call.endedAtMs = performance.now()
      this.#running.set(call.operation, (this.#running.get(call.operation) ?? 1) - 1)
    }
  }

  async #deadEnd(call: Call, signal: AbortSignal | undefined): Promise<void> {
    if (!this.#crashed) return
    if (!this.#buried) await this.#dead.wait(call.operation, signal)
    throw new StreamError('closed', `${call.operation}: the connection was crashed by the shim`)
  }

  #begin(facts: Partial<Call> & { operation: Operation }): Call {
    const concurrent = (this.#running.get(facts.operation) ?? 0) + 1
    this.#running.set(facts.operation, concurrent)
    const call: Call = {
      topic: undefined,
      group: undefined,
      member: undefined,
      records: [],
      commits: [],
      settlements: [],
      credit: undefined,
      error: undefined,
      outcomes: [],
      received: 0,
      ...facts,
      number: this.calls.length,
      startedAtMs: performance.now(),
      endedAtMs: undefined,
      concurrent,
    }
    this.calls.push(call)
    return call
  }
}
