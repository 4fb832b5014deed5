import { isDate, isMap, isNumberObject, isSet } from 'node:util/types'

/** A place in a value; its parents give the path. */
interface Place {
  readonly value: object
  readonly key: string
  readonly parent: Place | undefined
}

/**
 * What JSON would change into something else without a word, and where: `NaN at "items.2.price"`. Looks at what
 * `JSON.stringify` looks at, with `toJSON` called as it does, and takes a value that it could turn into text: one
 * without cycles. Loops instead of recursing, so that depth is no limit.
 */
export function findJsonLoss(value: unknown): string | undefined {
  const found: string[] = []
  const left: Place[] = []
  const look = (given: unknown, key: string, parent: Place | undefined): void => {
    if (typeof given !== 'object' || given === null) {
      if (isLostNumber(given)) found.push(`${String(given)}${describe(key, parent)}`)
      return
    }
    const seen = asJsonSees(given, key)
    const loss = nameOfLoss(given, seen)
    if (loss !== undefined) found.push(`${loss}${describe(key, parent)}`)
    else if (typeof seen === 'object' && seen !== null) left.push({ value: seen, key, parent })
  }
  look(value, '', undefined)
  for (let place = left.pop(); place !== undefined && found.length === 0; place = left.pop()) {
    const { value: holder } = place
    for (const key of Object.keys(holder)) look((holder as Readonly<Record<string, unknown>>)[key], key, place)
  }
  return found[0]
}

function nameOfLoss(given: object, seen: unknown): string | undefined {
  if (Array.isArray(seen)) return undefined
  if (seen === null) return isDate(given) ? 'an invalid Date' : undefined
  if (isMap(seen)) return 'a Map'
  if (isSet(seen)) return 'a Set'
  const plain: unknown = isNumberObject(seen) ? Number(seen) : seen
  return isLostNumber(plain) ? String(plain) : undefined
}

function isLostNumber(value: unknown): value is number {
  return typeof value === 'number' && !Number.isFinite(value)
}

function asJsonSees(value: { readonly toJSON?: unknown }, key: string): unknown {
  return hasToJson(value) ? value.toJSON(key) : value
}

function hasToJson(value: { readonly toJSON?: unknown }): value is { toJSON(key: string): unknown } {
  return typeof value.toJSON === 'function'
}

function describe(key: string, parent: Place | undefined): string {
  if (parent === undefined) return ''
  const path = [key]
  for (let place: Place | undefined = parent; place?.parent !== undefined; place = place.parent) path.unshift(place.key)
  return ` at "${path.join('.')}"`
}
