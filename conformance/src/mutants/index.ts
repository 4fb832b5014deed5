import type { Mutant } from './mutant.ts'
import { partitionMutants } from './partitions.ts'
import { readingMutants } from './reading.ts'
import { sendingMutants } from './sending.ts'
import { settlingMutants } from './settling.ts'

/** Every mutant: a backend with one bug each, to prove that the suite would find it. */
export const mutants: readonly Mutant[] = [
  ...sendingMutants,
  ...readingMutants,
  ...settlingMutants,
  ...partitionMutants,
]
