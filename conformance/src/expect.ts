import { isDeepStrictEqual } from 'node:util'
import { StreamError } from '@sluice/driver'
import type { ErrorCode } from '@sluice/driver'

/** An expectation of a case that was not met. Everything else a case throws is a crash of the case, not a verdict. */
export class Unmet extends Error {
  override readonly name = 'Unmet'
}

/** Holds a condition; the sentence says what should have been true, with the values that were found instead. */
export function that(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Unmet(sentence)
}

/** Deep equality. */
export function equal<T>(actual: T, expected: T, what: string): void {
  that(isDeepStrictEqual(actual, expected), `${what}: expected ${show(expected)}, got ${show(actual)}`)
}

/** Byte equality, told in few words. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  that(actual.length === expected.length, `${what}: expected ${expected.length} bytes, got ${actual.length}`)
  const at = expected.findIndex((byte, index) => byte !== actual[index])
  that(at < 0, `${what}: byte ${at} is ${actual[at]}, expected ${expected[at]}`)
}

/** Equal sequences, in this order; names the first place where they part. */
export function sameOrder<T>(actual: readonly T[], expected: readonly T[], what: string): void {
  const longest = Math.max(actual.length, expected.length)
  for (let at = 0; at < longest; at++) {
    if (isDeepStrictEqual(actual[at], expected[at])) continue
    throw new Unmet(
      `${what}: at ${at} expected ${at < expected.length ? show(expected[at]) : 'the end'}, got ` +
        `${at < actual.length ? show(actual[at]) : 'the end'} (${actual.length} of ${expected.length}; around: ` +
        `${show(actual.slice(Math.max(0, at - 3), at + 4))})`,
    )
  }
}

/** Every expected name occurs at least once and at most `copies` times, and nothing else occurs. */
export function each(actual: readonly string[], expected: readonly string[], copies: number, what: string): void {
  const counts = new Map<string, number>()
  for (const name of actual) counts.set(name, (counts.get(name) ?? 0) + 1)
  const missing = expected.filter((name) => !counts.has(name))
  const known = new Set(expected)
  const strangers = [...counts.keys()].filter((name) => !known.has(name))
  const strange = `${strangers.length} came that nobody waits for, first ${show(strangers.slice(0, 5))}`
  that(
    missing.length === 0,
    `${what}: ${missing.length} of ${expected.length} missing, first ${show(missing.slice(0, 5))}${strangers.length === 0 ? '' : `; ${strange}`}`,
  )
  that(strangers.length === 0, `${what}: ${strange}`)
  const repeated = [...counts].filter(([, count]) => count > copies)
  that(
    repeated.length === 0,
    `${what}: ${repeated.length} came more than ${copies} time(s), first ${show(repeated.slice(0, 5))}`,
  )
}

/** A bound on how many of `actual` are repeats. */
export function repeatsAtMost(actual: readonly string[], bound: number, what: string): void {
  const repeats = actual.length - new Set(actual).size
  that(repeats <= bound, `${what}: ${repeats} repeats, at most ${bound} are allowed`)
}

/** A number within bounds, both inclusive. */
export function between(actual: number, low: number, high: number, what: string): void {
  that(actual >= low && actual <= high, `${what}: expected ${low} to ${high}, got ${round(actual)}`)
}

/** The promise rejects with a StreamError of one of the codes; returns it. */
export async function rejects(
  promise: Promise<unknown>,
  codes: ErrorCode | readonly ErrorCode[],
  what: string,
): Promise<StreamError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  that(outcome !== undefined, `${what}: expected a rejection with ${String(codes)}, it resolved`)
  return isError(outcome.error, codes, what)
}

/** The call throws at once, or its promise rejects, with a StreamError of one of the codes. */
export async function refuses(
  call: () => unknown,
  codes: ErrorCode | readonly ErrorCode[],
  what: string,
): Promise<StreamError> {
  return rejects((async () => call())(), codes, what)
}

/** The value is a StreamError of one of the codes; returns it. */
export function isError(error: unknown, codes: ErrorCode | readonly ErrorCode[], what: string): StreamError {
  that(StreamError.is(error), `${what}: expected a StreamError, got ${show(error)}`)
  const allowed = typeof codes === 'string' ? [codes] : codes
  that(allowed.includes(error.code), `${what}: expected ${allowed.join(' or ')}, got ${error.code} (${error.message})`)
  return error
}

/** The first occurrence of each name, in the order in which they occurred. */
export function firsts<T>(items: readonly T[], nameOf: (item: T) => string): readonly T[] {
  const met = new Set<string>()
  return items.filter((item) => {
    const name = nameOf(item)
    if (met.has(name)) return false
    met.add(name)
    return true
  })
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}

function show(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`
  const text = JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'bigint' ? `${inner}n` : inner instanceof Uint8Array ? `<${inner.length} bytes>` : inner,
  )
  return text === undefined ? String(value) : text.length > 400 ? `${text.slice(0, 400)}…` : text
}
