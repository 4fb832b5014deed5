import type { Output } from './output.ts'
import { counted } from './words.ts'

/** Says how many partitions a table is without. */
export function noteLeftOut(output: Output, count: number): void {
  if (count > 0) output.note(`left out: ${counted(count, 'partition')} that ended; see all with --all`)
}
