import { createHash } from 'node:crypto'

/**
 * A name as tables and consumers may have it: letters, digits and `_ - .`, so long at most. One that had to be changed gets a mark
 * of its own, so that two stay two.
 */
export function plainName(name: string, most: number): string {
  const kept = name.replaceAll(/[^\w.-]/g, '_')
  if (kept === name && name.length <= most) return name
  const mark = markOf(name)
  return `${kept.slice(0, most - mark.length - 1)}-${mark}`
}

/** Tells a name from others that look like it. */
export function markOf(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, 16)
}
