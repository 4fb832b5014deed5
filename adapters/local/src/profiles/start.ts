import { StreamError } from '@sluice/driver'
import type { StartFrom, StartKind } from '@sluice/driver'

/** Throws `unsupported` when nobody can start or be moved there. */
export function checkStart(to: StartFrom, allowed: readonly StartKind[]): void {
  if (allowed.includes(to.kind)) return
  throw new StreamError('unsupported', `this profile cannot start at "${to.kind}"; it can at ${allowed.join(', ')}`)
}
