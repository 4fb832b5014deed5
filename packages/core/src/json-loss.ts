import {
  isAnyArrayBuffer,
  isArrayBufferView,
  isBoxedPrimitive,
  isDate,
  isGeneratorObject,
  isMap,
  isNativeError,
  isNumberObject,
  isRegExp,
  isSet,
  isSymbolObject,
  isWeakMap,
  isWeakSet,
} from 'node:util/types'

/** A place in a value; its parents give the path. */
interface Place {
  readonly value: object
  readonly key: string
  readonly parent: Place | undefined
}

/** Deeper values are walked by the loop, which has no limit. */
const maxQuickDepth = 100

/**
 * What JSON would change or leave out without a word, and where: `NaN at "items.2.price"`. A member of an object that is
 * `undefined` is none, nor is -0. Looks at what `JSON.stringify` looks at, with `toJSON` called as it does, and takes a
 * value that it could turn into text: one without cycles.
 */
export function findJsonLoss(value: unknown): string | undefined {
  return isPlainly(value, 0) ? undefined : walk(value)
}

/** Whether a value is made of plain parts only: true for nearly every value, in a fraction of the time of a walk. */
function isPlainly(value: unknown, depth: number): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth > maxQuickDepth) return false
  if (Array.isArray(value)) {
    for (const item of value) if (!isPlainly(item, depth + 1)) return false
    return true
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Date.prototype) return Number.isFinite((value as Date).getTime())
  if (prototype !== Object.prototype && prototype !== null && !isOfClass(value)) return false
  // Faster than entries or values, above all for objects that grew member by member.
  for (const key of Object.keys(value)) {
    const member = (value as Readonly<Record<string, unknown>>)[key]
    if (member !== undefined && !isPlainly(member, depth + 1)) return false
  }
  return true
}

/** An object of a class of the user's own, with nothing inside that JSON does not see. */
function isOfClass(value: { readonly toJSON?: unknown; readonly then?: unknown }): boolean {
  if (typeof value.toJSON === 'function' || typeof value.then === 'function') return false
  return Object.prototype.toString.call(value) === '[object Object]'
}

/** Loops instead of recursing, so that depth is no limit. */
function walk(value: unknown): string | undefined {
  const found: string[] = []
  const left: Place[] = []
  const look = (given: unknown, key: string, parent: Place | undefined): void => {
    const seen = asJsonSees(given, key)
    const loss = nameOfLoss(given, seen, Array.isArray(parent?.value))
    if (loss !== undefined) found.push(`${loss}${describe(key, parent)}`)
    else if (typeof seen === 'object' && seen !== null) left.push({ value: seen, key, parent })
  }
  look(value, '', undefined)
  for (let place = left.pop(); place !== undefined && found.length === 0; place = left.pop()) {
    const { value: holder } = place
    if (Array.isArray(holder)) for (const [index, item] of holder.entries()) look(item, String(index), place)
    else for (const key of Object.keys(holder)) look((holder as Readonly<Record<string, unknown>>)[key], key, place)
  }
  return found[0]
}

function nameOfLoss(given: unknown, seen: unknown, inArray: boolean): string | undefined {
  switch (typeof seen) {
    case 'number':
      return Number.isFinite(seen) ? undefined : String(seen)
    case 'undefined':
      return inArray ? 'undefined' : undefined
    case 'function':
    case 'symbol':
      return `a ${typeof seen}`
    case 'object':
      return seen === null ? nameOfLostNull(given) : nameOfLostObject(seen)
    default:
      return undefined
  }
}

function nameOfLostNull(given: unknown): string | undefined {
  return isDate(given) ? 'an invalid Date' : undefined
}

const lost: readonly (readonly [(value: object) => boolean, string])[] = [
  [isMap, 'a Map'],
  [isSet, 'a Set'],
  [isWeakMap, 'a WeakMap'],
  [isWeakSet, 'a WeakSet'],
  [isRegExp, 'a RegExp'],
  [(value) => isNativeError(value) || value instanceof Error, 'an Error'],
  [isArrayBufferView, 'binary data'],
  [isAnyArrayBuffer, 'binary data'],
  [isGeneratorObject, 'a generator'],
  [isSymbolObject, 'a symbol'],
  [(value) => 'then' in value && typeof value.then === 'function', 'a Promise'],
]

function nameOfLostObject(seen: object): string | undefined {
  if (Array.isArray(seen)) return undefined
  if (isNumberObject(seen)) return Number.isFinite(Number(seen)) ? undefined : String(Number(seen))
  return lost.find(([is]) => is(seen))?.[1] ?? nameOfOpaque(seen)
}

/** What keeps all it has inside, of which JSON would make `{}`: `Headers`, a `URLSearchParams`, an iterator, a `WeakRef`. */
function nameOfOpaque(seen: object): string | undefined {
  const tag = Object.prototype.toString.call(seen).slice('[object '.length, -1)
  if (tag === 'Object' || isBoxedPrimitive(seen) || Object.keys(seen).length > 0) return undefined
  return `an object of type ${tag}`
}

function asJsonSees(value: unknown, key: string): unknown {
  return isObject(value) && hasToJson(value) ? value.toJSON(key) : value
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function hasToJson(value: object): value is { toJSON(key: string): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function describe(key: string, parent: Place | undefined): string {
  if (parent === undefined) return ''
  const path = [key]
  for (let place: Place | undefined = parent; place?.parent !== undefined; place = place.parent) path.unshift(place.key)
  return ` at "${path.join('.')}"`
}
