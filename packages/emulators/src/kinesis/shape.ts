import { invalid, unreadable } from './service-error.ts'

/**
 * What a member of a request may be. `read` gives the value as operations use it: blobs as bytes, times in milliseconds. A
 * value of the wrong kind throws; one outside its constraints is noted, because the service tells all of them at once.
 */
export interface Shape<T> {
  read(value: unknown, at: string, notes: Notes): T
}

/** What the service says of a request that breaks its constraints. */
export class Notes {
  readonly #lines: string[] = []
  #count = 0

  /** Of many problems ten are told, and kept. */
  note(value: string, at: string, constraint: string): void {
    this.#count++
    if (this.#lines.length < mostTold)
      this.#lines.push(`Value ${value} at '${at}' failed to satisfy constraint: Member must ${constraint}`)
  }

  /** Throws what was noted, if anything was. */
  settle(): void {
    if (this.#count === 0) return
    const what = `${this.#count} validation error${this.#count === 1 ? '' : 's'} detected`
    throw invalid(`${what}: ${this.#lines.join('; ')}`)
  }
}

const mostTold = 10

/** The type of what a shape reads. */
export type ValueOf<S> = S extends Shape<infer T> ? T : never

/** The member has to be there. */
export function required<T>(shape: Shape<T | undefined>): Shape<T> {
  return {
    read(value, at, notes) {
      if (value === undefined || value === null) notes.note('null', at, 'not be null')
      return shape.read(value, at, notes) as T
    },
  }
}

/** The bounds of a length or of a number, both inclusive. */
export interface Bounds {
  readonly min?: number
  readonly max?: number
}

/** Constraints of a string. */
export interface TextRules extends Bounds {
  /** As the service words it in its answers. The whole string has to match. */
  readonly pattern?: string
  readonly oneOf?: readonly string[]
}

export function text<T extends string = string>(rules: TextRules = {}): Shape<T | undefined> {
  const pattern = rules.pattern === undefined ? undefined : new RegExp(`^(?:${rules.pattern})$`, 'u')
  return {
    read(value, at, notes) {
      if (value === undefined || value === null) return undefined
      if (typeof value !== 'string') throw unreadable(`${kindOf(value)} can not be converted to a String`)
      const fits = noteLength(lengthOf(value, rules), () => value, at, rules, notes)
      // A text that is too long is looked at no further.
      if (fits && pattern?.test(value) === false)
        notes.note(`'${value}'`, at, `satisfy regular expression pattern: ${rules.pattern}`)
      if (rules.oneOf?.includes(value) === false)
        notes.note(`'${value}'`, at, `satisfy enum value set: [${rules.oneOf.join(', ')}]`)
      return value as T
    },
  }
}

export function integer(bounds: Bounds = {}): Shape<number | undefined> {
  return {
    read(value, at, notes) {
      if (value === undefined || value === null) return undefined
      if (typeof value !== 'number' || !Number.isFinite(value))
        throw unreadable(`${kindOf(value)} can not be converted to an Integer`)
      const whole = Math.trunc(value)
      if (bounds.min !== undefined && whole < bounds.min)
        notes.note(`'${whole}'`, at, `have value greater than or equal to ${bounds.min}`)
      if (bounds.max !== undefined && whole > bounds.max)
        notes.note(`'${whole}'`, at, `have value less than or equal to ${bounds.max}`)
      return whole
    },
  }
}

export function flag(): Shape<boolean | undefined> {
  return {
    read(value) {
      if (value === undefined || value === null) return undefined
      if (typeof value !== 'boolean') throw unreadable(`${kindOf(value)} can not be converted to a Boolean`)
      return value
    },
  }
}

/** A time, in milliseconds since 1970. JSON has seconds, CBOR a tagged number of milliseconds that arrives as a `Date`. */
export function time(): Shape<number | undefined> {
  return {
    read(value) {
      if (value === undefined || value === null) return undefined
      const ms =
        value instanceof Date ? value.getTime() : typeof value === 'number' ? Math.round(value * 1_000) : Number.NaN
      if (!Number.isFinite(ms)) throw unreadable(`${kindOf(value)} can not be converted to milliseconds since epoch`)
      return ms
    },
  }
}

/** Bytes: base64 in JSON, as they are in CBOR. */
export function blob(bounds: Bounds): Shape<Buffer | undefined> {
  return {
    read(value, at, notes) {
      if (value === undefined || value === null) return undefined
      const bytes = Buffer.isBuffer(value) ? value : fromBase64(value)
      const { length } = bytes
      noteLength(length, () => `java.nio.HeapByteBuffer[pos=0 lim=${length} cap=${length}]`, at, bounds, notes)
      return bytes
    },
  }
}

export function list<T>(of: Shape<T>, bounds: Bounds = {}): Shape<readonly T[] | undefined> {
  return {
    read(value, at, notes) {
      if (value === undefined || value === null) return undefined
      if (!Array.isArray(value)) throw unreadable(structureKind(value))
      if (!noteLength(value.length, () => `[${value.length} items]`, at, bounds, notes)) return []
      return value.map((item: unknown, index) => of.read(item, `${at}.${index + 1}.member`, notes))
    },
  }
}

/** Names and values, both text. */
export function textMap(
  bounds: Bounds,
  key: TextRules,
  rules: TextRules,
): Shape<ReadonlyMap<string, string> | undefined> {
  const [names, values] = [text(key), text(rules)]
  return {
    read(value, at, notes) {
      if (value === undefined || value === null) return undefined
      if (typeof value !== 'object' || Array.isArray(value)) throw unreadable(structureKind(value))
      const entries = Object.entries(value)
      if (!noteLength(entries.length, () => `{${entries.length} entries}`, at, bounds, notes)) return new Map()
      return new Map(
        entries.map(([name, item]) => [
          names.read(name, at, notes) ?? '',
          values.read(item, `${at}.${name}.member`, notes) ?? '',
        ]),
      )
    },
  }
}

export type Fields = Readonly<Record<string, Shape<unknown>>>

/** The values of a structure's members. */
export type Read<F extends Fields> = { readonly [K in keyof F]: ValueOf<F[K]> }

export function structure<F extends Fields>(fields: F): Shape<Read<F> | undefined> {
  const members = Object.entries(fields).map(([name, shape]) => ({ name, shape, label: labelOf(name) }))
  return {
    read(value, at, notes) {
      if (value === undefined || value === null) return undefined
      if (typeof value !== 'object' || Array.isArray(value)) throw unreadable(structureKind(value))
      const given = value as Readonly<Record<string, unknown>>
      const result: Record<string, unknown> = {}
      for (const { name, shape, label } of members)
        result[name] = shape.read(given[name], at === '' ? label : `${at}.${label}`, notes)
      return result as Read<F>
    },
  }
}

/** Reads a whole request; throws what the service answers to one that is not right. */
export function readRequest<F extends Fields>(shape: Shape<Read<F> | undefined>, body: unknown): Read<F> {
  const notes = new Notes()
  const input = shape.read(body ?? {}, '', notes)
  notes.settle()
  return input as Read<F>
}

/** `StreamARN` is `streamARN` in the service's answers. */
function labelOf(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1)
}

/** Says whether the length is no longer than it may be. */
function noteLength(length: number, show: () => string, at: string, bounds: Bounds, notes: Notes): boolean {
  if (bounds.min !== undefined && length < bounds.min)
    notes.note(`'${show()}'`, at, `have length greater than or equal to ${bounds.min}`)
  if (bounds.max === undefined || length <= bounds.max) return true
  notes.note(`'${show().slice(0, mostShown)}'`, at, `have length less than or equal to ${bounds.max}`)
  return false
}

const mostShown = 2_048

/** In Unicode characters, which are counted only where it matters: there are never more than code units. */
function lengthOf(value: string, { max = Infinity }: Bounds): number {
  if (value.length <= max || value.length > 2 * max) return value.length
  let length = 0
  for (const _ of value) length++
  return length
}

function fromBase64(value: unknown): Buffer {
  if (typeof value !== 'string') throw unreadable(`${kindOf(value)} can not be converted to a Blob`)
  if (value.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(value))
    throw unreadable(`'${value.slice(0, 40)}' is not valid base64`)
  return Buffer.from(value, 'base64')
}

function kindOf(value: unknown): string {
  if (typeof value === 'string') return 'STRING_VALUE'
  if (typeof value === 'number') return Number.isInteger(value) ? 'NUMBER_VALUE' : 'DECIMAL_VALUE'
  if (typeof value === 'boolean') return value ? 'TRUE_VALUE' : 'FALSE_VALUE'
  return Array.isArray(value) ? 'START_ARRAY' : 'START_OBJECT'
}

function structureKind(value: unknown): string {
  if (Array.isArray(value)) return 'Start of list found where not expected'
  return typeof value === 'object'
    ? 'Start of structure or map found where not expected'
    : `Unexpected ${kindOf(value)}`
}
