import { StreamError, didYouMean } from '@sluice/driver'
import { kindOf } from './values.ts'

/** What an option may be. Throws `invalid-argument` naming the option, what came, and what is allowed. */
export type Kind = (value: unknown, name: string, of: string) => void

/** Every option of `O`, and what it may be. */
export type Kinds<O> = { readonly [Name in keyof Required<O>]: Kind }

/**
 * Checks options that a user gave; `of` says whose they are. Throws `invalid-argument` for a value that is not allowed
 * and for a name that is not known, with the didYouMean that is. `undefined` is as good as not given.
 */
export function checkOptions<O>(of: string, given: unknown, kinds: Kinds<O>, parent = ''): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new StreamError('invalid-argument', `${of}: ${parent || 'options'} must be an object, not ${show(given)}`)
  }
  for (const [name, value] of Object.entries(given) as readonly (readonly [string, unknown])[]) {
    if (value === undefined) continue
    const path = parent === '' ? name : `${parent}.${name}`
    if (!Object.hasOwn(kinds, name)) throw unknownOption(of, path, name, Object.keys(kinds))
    kinds[name as keyof O](value, path, of)
  }
}

/** Throws `invalid-argument` unless `value` is of the kind; `undefined` is not as good as any. */
export function checkArgument(of: string, name: string, value: unknown, kind: Kind): void {
  kind(value, name, of)
}

/** What passes a test; `allowed` completes "must be". */
export function kind(allowed: string, fits: (value: unknown) => boolean): Kind {
  return (value, name, of) => {
    if (fits(value)) return
    throw new StreamError('invalid-argument', `${of}: ${name} must be ${allowed}, not ${show(value)}`)
  }
}

/** An object with options of its own. */
export function object<O>(kinds: Kinds<O>): Kind {
  return (value, name, of) => checkOptions(of, value, kinds, name)
}

/** One of a few words. */
export function oneOf(...words: readonly string[]): Kind {
  return kind(words.map((word) => `"${word}"`).join(' or '), (value) => words.includes(value as string))
}

/** An object that has these methods, whatever else it has. */
export function having(...methods: readonly string[]): Kind {
  return kind(`an object with ${methods.join(', ')}`, (value) => hasMethods(value, methods))
}

/** A time in milliseconds. `Infinity` is one. */
export const duration: Kind = kind(
  'a number of milliseconds, 0 or more',
  (value) => typeof value === 'number' && value >= 0,
)
/** How many of something. `Infinity`: as many as there are. */
export const count: Kind = kind(
  'a whole number, 1 or more',
  (value) => value === Infinity || (typeof value === 'number' && Number.isInteger(value) && value >= 1),
)
/** How much of something. */
export const amount: Kind = kind('a number above 0', (value) => typeof value === 'number' && value > 0)
/** Yes or no. */
export const flag: Kind = kind('true or false', (value) => typeof value === 'boolean')
/** Something to call. */
export const func: Kind = kind('a function', (value) => typeof value === 'function')
/** Text with something in it. */
export const name: Kind = kind('a string that is not empty', (value) => typeof value === 'string' && value !== '')
/** What ends a call early. */
export const signal: Kind = kind('an AbortSignal', (value) => value instanceof AbortSignal)

/** Whether it has these methods, of its own or its class's. */
export function hasMethods(value: unknown, methods: readonly string[]): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return methods.every((method) => typeof (value as Readonly<Record<string, unknown>>)[method] === 'function')
}

function unknownOption(of: string, path: string, name: string, known: readonly string[]): StreamError {
  return new StreamError('invalid-argument', `${of}: there is no option "${path}"; ${didYouMean(name, known)}`)
}

/** Numbers and short words as they are: they say what is wrong. */
function show(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' && value.length <= 40 ? JSON.stringify(value) : kindOf(value)
}
