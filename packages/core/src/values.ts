import { isUint8Array } from 'node:util/types'
import { StreamError, textOf } from '@sluice/driver'
import type { Codec } from './codec.ts'
import type { StandardIssue, StandardResult, StandardSchema } from './standard-schema.ts'

/**
 * Checks and encodes values of one topic, and the way back. The schema is applied to what was decoded; what is sent is
 * only held to it, so that nothing is transformed twice. Synchronous unless the schema is not.
 */
export class ValueFormat<In, Out = In> {
  readonly codec: Codec<In>
  readonly #schema: StandardSchema<In, Out> | undefined

  constructor(codec: Codec<In>, schema: StandardSchema<In, Out> | undefined) {
    this.codec = codec
    this.#schema = schema
  }

  /**
   * Checks and encodes the value as it is now, also while a schema is still validating. Throws, or rejects, with
   * `invalid-argument` naming what does not fit; `what` names the value for the message.
   */
  encode(value: In, what: () => string): Uint8Array | Promise<Uint8Array> {
    if (this.#schema === undefined) return this.#encodeValid(value, what)
    const result = this.#schema['~standard'].validate(value)
    if (!isThenable(result)) {
      refuseMisfit(result, what)
      return this.#encodeValid(value, what)
    }
    const encoded = settledNow(() => this.#encodeValid(value, what))
    return Promise.resolve(result).then((checked) => {
      refuseMisfit(checked, what)
      return encoded()
    })
  }

  /** Throws, or rejects, with `corrupt` when the bytes make no sense or do not fit the schema. */
  decode(body: Uint8Array, what: () => string): Out | Promise<Out> {
    const value = this.#decodeBytes(body, what)
    // Without a schema both types are the codec's.
    if (this.#schema === undefined) return value as Out
    const result = this.#schema['~standard'].validate(value)
    const take = (checked: StandardResult<Out>): Out => {
      if (checked.issues === undefined) return checked.value
      throw new StreamError('corrupt', `${what()} does not fit its schema: ${listIssues(checked.issues)}`)
    }
    return isThenable(result) ? Promise.resolve(result).then(take) : take(result)
  }

  #encodeValid(value: In, what: () => string): Uint8Array {
    const encoded = this.#encodeAny(value, what)
    if (isUint8Array(encoded)) return encoded
    throw new StreamError(
      'invalid-argument',
      `${what()} was encoded as ${kindOf(encoded)} by the codec for ${this.codec.contentType}; encode must return a Uint8Array`,
    )
  }

  /** Whoever writes a codec in JavaScript may return anything. */
  #encodeAny(value: In, what: () => string): unknown {
    try {
      return this.codec.encode(value)
    } catch (cause) {
      if (StreamError.is(cause)) throw cause
      throw new StreamError(
        'invalid-argument',
        `${what()} cannot be encoded as ${this.codec.contentType}: ${textOf(cause)}`,
        { cause },
      )
    }
  }

  #decodeBytes(body: Uint8Array, what: () => string): unknown {
    try {
      return this.codec.decode(body)
    } catch (cause) {
      throw new StreamError('corrupt', `${what()} cannot be decoded as ${this.codec.contentType}: ${textOf(cause)}`, {
        cause,
      })
    }
  }
}

function refuseMisfit(checked: StandardResult<unknown>, what: () => string): void {
  if (checked.issues === undefined) return
  throw new StreamError('invalid-argument', `${what()} does not fit its schema: ${listIssues(checked.issues)}`)
}

/** Does the work now; what is returned gives its result, or throws what it threw, when it is asked. */
function settledNow<R>(work: () => R): () => R {
  try {
    const result = work()
    return () => result
  } catch (error) {
    return () => {
      throw error
    }
  }
}

/** A schema's promise need not be the runtime's own. */
function isThenable<T extends object>(result: T | PromiseLike<T>): result is PromiseLike<T> {
  return 'then' in result && typeof result.then === 'function'
}

/** What a value is, for messages: `a string`, `an object of class Map`, `undefined`. Nothing of its content is shown. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value)
  if (typeof value !== 'object') return `a ${typeof value}`
  if (Array.isArray(value)) return 'an array'
  const { constructor } = value
  const name = typeof constructor === 'function' ? constructor.name : ''
  return name === '' || name === 'Object' ? 'an object' : `an object of class ${name}`
}

function listIssues(issues: readonly StandardIssue[]): string {
  const shown = issues.slice(0, 5).map((issue) => {
    const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    return path === '' ? issue.message : `${path}: ${issue.message}`
  })
  if (issues.length > shown.length) shown.push(`and ${issues.length - shown.length} more`)
  return shown.join('; ')
}
