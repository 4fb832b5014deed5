/** The first and last of offsets without a gap. */
export type Run = readonly [number, number]

/** Puts offsets that follow each other together. They come in order. */
export function toRuns(offsets: readonly number[]): readonly Run[] {
  const runs: [number, number][] = []
  for (const offset of offsets) {
    const run = runs.at(-1)
    if (run !== undefined && run[1] === offset - 1) run[1] = offset
    else runs.push([offset, offset])
  }
  return runs
}

export function formatRun([first, last]: Run): string {
  return `${first}-${last}`
}

export function parseRun(text: string): Run {
  const [first, last] = text.split('-')
  return [Number(first), Number(last)]
}
