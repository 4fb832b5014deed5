import { StreamError } from '@sluice/driver'
import type { StartFrom } from '@sluice/driver'
import type { Start } from './api/consumer.ts'
import { kind } from './options.ts'

/** What a {@link Start} may be. */
export function checkStart(value: unknown, name: string, of: string): void {
  if (typeof value === 'string' && /^\d{4}-\d\d/.test(value)) {
    throw new StreamError('invalid-argument', `${of}: ${name} takes a time as a Date; write new Date("${value}")`)
  }
  kind('"earliest", "latest", a valid Date, or { positions: { "<partition>": position } }', isStart)(value, name, of)
}

/** Turns a {@link Start} into the contract's form. */
export function toStartFrom(start: Start): StartFrom {
  if (start === 'earliest' || start === 'latest') return { kind: start }
  if (start instanceof Date) return { kind: 'time', timeMs: start.getTime() }
  return { kind: 'position', positions: start.positions }
}

function isStart(value: unknown): value is Start {
  if (value === 'earliest' || value === 'latest') return true
  if (value instanceof Date) return !Number.isNaN(value.getTime())
  const positions = (value as { positions?: unknown } | null | undefined)?.positions
  if (typeof positions !== 'object' || positions === null || Array.isArray(positions)) return false
  return Object.values(positions).every((position) => typeof position === 'string')
}
