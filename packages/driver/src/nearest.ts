/**
 * The known name closest to `name`, for "did you mean": at most a third of the longer of the two is wrong, two letters that
 * changed places counting once. `undefined` when none is that close, so there is no guess at names of one or two letters.
 */
export function nearest(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Infinity
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    const allowed = Math.floor(Math.max(name.length, candidate.length) / 3)
    if (distance <= allowed && distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** What to say of a name that is none of the known: which of them may be meant, or else `otherwise`, which lists them by default. */
export function didYouMean(
  name: string,
  known: readonly string[],
  otherwise: string = `known are ${known.join(', ')}`,
): string {
  const meant = nearest(name, known)
  return meant === undefined ? otherwise : `did you mean "${meant}"?`
}

/** Optimal string alignment: edits of one letter, and neighbours that changed places (Damerau, 1964), row by row. */
function editDistance(a: string, b: string): number {
  let beforeThat: readonly number[] = []
  let previous: readonly number[] = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = swapped ? (beforeThat[j - 2] ?? 0) + 1 : Infinity
      current.push(Math.min(substitution, swap, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1))
    }
    beforeThat = previous
    previous = current
  }
  return previous[b.length] ?? 0
}
