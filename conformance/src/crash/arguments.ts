import { parseArgs } from 'node:util'
import { bugs } from './plan.ts'
import type { Bug, Mode } from './plan.ts'

/** What the crash runner was asked for. */
export interface CrashArguments {
  readonly rounds: number
  /** The seed of the first round; those after it count up. */
  readonly seed: number
  /** One address for all rounds; `undefined`: a fresh folder for each. */
  readonly backend: string | undefined
  /** `undefined`: group and function rounds take turns. */
  readonly mode: Mode | undefined
  /** Folders of rounds that passed are kept too. */
  readonly keep: boolean
  readonly bug: Bug | undefined
}

/** How to call the runner. */
export const usage: string = `npm run crash -- [--rounds N] [--seed S] [--backend ADDRESS] [--mode group|function] [--keep] [--bug NAME]

  --rounds N         rounds to play; default 10
  --seed S           seed of the first round, 0 to 4294967295; the next round's is one more; default: by the clock
  --backend ADDRESS  for example local:./data; default: a fresh local folder for each round
  --mode MODE        group: consumers of one group; function: workers with delivery exactly-once; default: in turns
  --keep             keep the folders of all rounds, not only of those that failed
  --bug NAME         put a bug in, to see that it is found: ${bugs.join(', ')}`

/** A mistake in the arguments, told in one line. */
export class UsageError extends Error {}

/** Reads the command line. Throws {@link UsageError}. */
export function parseCrashArguments(args: readonly string[], nowMs: number): CrashArguments {
  const { values } = parse(args)
  return {
    rounds: wholeNumber('--rounds', values.rounds, 1, 1_000_000) ?? 10,
    seed: wholeNumber('--seed', values.seed, 0, 4_294_967_295) ?? nowMs % 4_294_967_296,
    backend: backendOf(values.backend),
    mode: choice('--mode', values.mode, ['group', 'function'] as const),
    keep: values.keep === true,
    bug: choice('--bug', values.bug, bugs),
  }
}

interface Values {
  readonly rounds?: string
  readonly seed?: string
  readonly backend?: string
  readonly mode?: string
  readonly keep?: boolean
  readonly bug?: string
}

function parse(args: readonly string[]): { readonly values: Values } {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: { rounds: text, seed: text, backend: text, mode: text, keep: { type: 'boolean' }, bug: text },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function backendOf(value: string | undefined): string | undefined {
  if (value === undefined || /^[a-z][a-z0-9+.-]*:./.test(value)) {
    if (value?.startsWith('memory:') !== true) return value
    throw new UsageError('--backend memory: lives in one process, so no other can be killed on it; use local:DIR')
  }
  throw new UsageError(`--backend ${value} is no address; write for example local:./data`)
}

function wholeNumber(name: string, value: string | undefined, min: number, max: number): number | undefined {
  if (value === undefined) return undefined
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= min && number <= max) return number
  throw new UsageError(`${name} ${value} is not a whole number from ${min} to ${max}`)
}

function choice<T extends string>(name: string, value: string | undefined, choices: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  const found = choices.find((one) => one === value)
  if (found !== undefined) return found
  throw new UsageError(`${name} ${value} is not known; known are ${choices.join(', ')}`)
}
