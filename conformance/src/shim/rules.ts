import { StreamError } from '@sluice/driver'
import type { ErrorCode, OutgoingRecord, StreamErrorOptions } from '@sluice/driver'
import { matches } from './call.ts'
import type { Call, Match, Operation } from './call.ts'

/** What a call or record fails with: a code, or an error made for the call. */
export type Failure = ErrorCode | ((call: Call) => StreamError)

/** How often a rule takes effect. Default: until it is removed. */
export interface Times {
  readonly times?: number
}

/** A rule in force. */
export interface Rule {
  /** Times it has taken effect. */
  readonly used: number
  /** Takes the rule out; calls it holds back go on. */
  remove(): void
}

/** What a rule does with a call. */
export interface Effect {
  /** Before the real call: waits, or throws instead of it. */
  readonly before?: (call: Call, signal: AbortSignal | undefined) => Promise<void>
  /** After the real call: throws although it was done. */
  readonly after?: (call: Call) => void
  /** Says of each record of a request whether it fails instead of being sent, and with what. */
  readonly record?: (record: OutgoingRecord, call: Call) => StreamError | undefined
}

class ActiveRule implements Rule {
  used = 0
  readonly match: Operation | Match
  readonly effect: Effect
  readonly #times: number
  readonly #remove: (rule: ActiveRule) => void

  constructor(match: Operation | Match, effect: Effect, times: number, remove: (rule: ActiveRule) => void) {
    this.match = match
    this.effect = effect
    this.#times = times
    this.#remove = remove
  }

  get open(): boolean {
    return this.used < this.#times
  }

  remove(): void {
    this.#remove(this)
  }
}

/** The rules in force, in the order in which they were made. */
export class Rules {
  readonly #rules = new Set<ActiveRule>()

  add(match: Operation | Match, effect: Effect, times: number = Infinity, onRemove?: () => void): Rule {
    const rule = new ActiveRule(match, effect, times, (one) => {
      this.#rules.delete(one)
      onRemove?.()
    })
    this.#rules.add(rule)
    return rule
  }

  /** The rules that take effect on this call; each counts as used. */
  take(call: Call): readonly Effect[] {
    const taken: Effect[] = []
    for (const rule of this.#rules) {
      if (rule.effect.record !== undefined || !rule.open || !matches(rule.match, call)) continue
      rule.used++
      taken.push(rule.effect)
    }
    return taken
  }

  /** The error a record of this request fails with, if any rule says so; that rule counts as used. */
  failureOf(record: OutgoingRecord, call: Call): StreamError | undefined {
    for (const rule of this.#rules) {
      if (rule.effect.record === undefined || !rule.open || !matches(rule.match, call)) continue
      const error = rule.effect.record(record, call)
      if (error === undefined) continue
      rule.used++
      return error
    }
    return undefined
  }

  clear(): void {
    for (const rule of this.#rules) rule.remove()
  }
}

/** Makes the error of a failure. */
export function makeError(failure: Failure, call: Call, options: StreamErrorOptions = {}): StreamError {
  if (typeof failure === 'function') return failure(call)
  const cause = new Error(`native ${failure} made by the shim`)
  return new StreamError(failure, `${call.operation} failed: made to by the shim`, { cause, ...options })
}
