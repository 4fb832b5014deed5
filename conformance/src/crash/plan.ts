import type { Random } from '@sluice/driver'
import { between, seededRandom } from '../random.ts'

/** `group`: consumers of one group. `function`: workers that store outputs and offsets in one transaction. */
export type Mode = 'group' | 'function'

/** A bug put in on purpose, to see that the checker finds it. */
export type Bug = (typeof bugs)[number]

/** Every {@link Bug}. */
export const bugs = [
  'ack-before-handling',
  'journal-before-ack',
  'reorder',
  'no-commit',
  'two-groups',
  'at-least-once',
] as const

/** What is done to the processes of a round. Whatever was killed or left is started again under another name. */
export type Harm = (typeof harms)[number]

const harms = [
  'kill-producer',
  'kill-consumer',
  'kill-consumer',
  'kill-both',
  'kill-after-first-ack',
  'kill-while-growing',
  'kill-while-closing',
  'leave',
] as const

/** One harm: it comes `afterMs` after the one before it, and where it has two moments they are `gapMs` apart. */
export interface Step {
  readonly afterMs: number
  readonly harm: Harm
  readonly gapMs: number
  /** Picks the process that is hit, in [0, 1). */
  readonly victim: number
}

/** Settings of a group's members. The last three bound what a kill may repeat; see `duplicateBound`. */
export interface MemberSettings {
  readonly concurrency: number
  /** The most messages of a batch; `undefined`: a handler for each message. */
  readonly batch: number | undefined
  readonly commitIntervalMs: number
  readonly maxBufferedRecords: number
  readonly maxUncommitted: number
}

/** Everything about a round that its seed decides. How the processes interleave is up to the machine. */
export interface RoundPlan {
  readonly seed: number
  readonly mode: Mode
  readonly partitions: number
  readonly producers: number
  readonly members: number
  /** Sends of one producer in flight at once. */
  readonly window: number
  /** What one producer sends at most, in all its lives. */
  readonly recordsPerProducer: number
  readonly member: MemberSettings
  readonly steps: readonly Step[]
  /** How long the producers go on after the last harm, in milliseconds. */
  readonly calmMs: number
}

/** Plans a round. Without a mode, odd seeds are `group` rounds and even ones `function` rounds. */
export function planRound(seed: number, mode?: Mode): RoundPlan {
  const random = seededRandom(seed)
  const chosen = mode ?? (seed % 2 === 1 ? 'group' : 'function')
  return {
    seed,
    mode: chosen,
    partitions: between(random, 1, 6),
    producers: between(random, 1, 2),
    members: between(random, 1, 3),
    window: pick(random, [4, 16, 64]),
    // A transaction stores no more than a member buffers, so functions are slower.
    recordsPerProducer: chosen === 'group' ? between(random, 800, 2_000) : between(random, 300, 800),
    member: {
      concurrency: pick(random, [1, 4, 16]),
      batch: pick(random, [undefined, undefined, between(random, 2, 12)]),
      commitIntervalMs: between(random, 5, 40),
      maxBufferedRecords: between(random, 16, 64),
      maxUncommitted: between(random, 32, 128),
    },
    steps: Array.from({ length: between(random, 2, 3) }, () => ({
      afterMs: between(random, 10, 150),
      harm: pick(random, harms),
      gapMs: between(random, 0, 15),
      victim: random(),
    })),
    calmMs: between(random, 30, 150),
  }
}

/** Plans a round of a soak: three members, and harms for about half a minute. */
export function planSoak(seed: number): RoundPlan {
  const random = seededRandom(seed)
  return {
    ...planRound(seed, 'group'),
    partitions: between(random, 3, 9),
    producers: 2,
    members: 3,
    // More than they can send in that time: the end of the harms is their end.
    recordsPerProducer: 1_000_000,
    steps: Array.from({ length: 20 }, () => ({
      afterMs: between(random, 200, 2_500),
      harm: pick(random, harms),
      gapMs: between(random, 0, 50),
      victim: random(),
    })),
    calmMs: 500,
  }
}

function pick<T>(random: Random, choices: readonly T[]): T {
  return choices[between(random, 0, choices.length - 1)] as T
}
