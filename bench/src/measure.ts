import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Rates of two ways to do the same work, taken in turn. */
export interface Pair {
  readonly name: string
  readonly ours: readonly number[]
  readonly byHand: readonly number[]
}

/** Runs `work` in a fresh folder that is gone afterwards. */
export async function inFolder<T>(work: (folder: string) => Promise<T> | T): Promise<T> {
  const folder = mkdtempSync(join(process.env['SLUICE_BENCH_DIR'] ?? tmpdir(), 'sluice-bench-'))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Units of work done in a second. */
export async function rate(units: number, work: () => Promise<void> | void): Promise<number> {
  const started = performance.now()
  await work()
  return units / ((performance.now() - started) / 1000)
}

/** The middle value. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** A Markdown table: medians, the ratio of medians, and the spread of the ratios taken pair by pair. */
export function table(pairs: readonly Pair[]): string {
  const rows = pairs.map(({ name, ours, byHand }) => {
    const ratios = ours.map((value, index) => value / (byHand[index] ?? Number.NaN))
    const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
    return `| ${name} | ${thousands(median(ours))} | ${thousands(median(byHand))} | **${(median(ours) / median(byHand)).toFixed(2)}** | ${spread} |`
  })
  return ['| | Sluice, k/s | by hand, k/s | ratio | pairs |', '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

function thousands(perSecond: number): string {
  return (perSecond / 1000).toFixed(1)
}
