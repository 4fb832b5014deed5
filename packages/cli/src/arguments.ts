import type { Start } from '@sluice/core'
import type { Position } from '@sluice/driver'
import { UsageError } from './failure.ts'

/** Where to start, as it is written on the command line: `earliest`, `latest`, a time, or `<partition>:<position>`. */
export function parseStart(text: string): Start {
  if (text === 'earliest' || text === 'latest') return text
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? new Date(text) : undefined
  if (time !== undefined && !Number.isNaN(time.getTime())) return time
  const [partition, position] = /^([^:]+):(.+)$/.exec(text)?.slice(1) ?? []
  if (time === undefined && partition !== undefined && position !== undefined) {
    return { positions: { [partition]: position as Position } }
  }
  throw new UsageError(
    `"${text}" is no place to start from; write earliest, latest, a time such as 2026-01-31T12:00:00Z, or <partition>:<position>`,
  )
}

/** A whole number of at least `min`. */
export function parseCount(text: string, name: string, min = 1): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < min)
    throw new UsageError(`${name} must be a whole number, at least ${min}, not "${text}"`)
  return value
}

/** Headers written as `name=value`, each name once. */
export function parseHeaders(pairs: readonly string[]): Record<string, string> {
  const headers = new Map<string, string>()
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new UsageError(`a header is written name=value, not "${pair}"`)
    const name = pair.slice(0, at)
    if (headers.has(name)) throw new UsageError(`the header "${name}" is given twice; a message has one of a name`)
    headers.set(name, pair.slice(at + 1))
  }
  return Object.fromEntries(headers)
}

/** Gathers a repeated option into a list. */
export function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value]
}

/** The text of an option, when it was given. */
export function text(options: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = options[name]
  return typeof value === 'string' ? value : undefined
}
