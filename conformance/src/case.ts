import type { CaseContext } from './context.ts'
import type { World } from './harness.ts'

/** One promise of the contract, and how to find out whether it is kept. */
export interface Case {
  /** `area/what`, for ever: reports, divergences and mutants name it. */
  readonly name: string
  /** The promise, as a sentence. */
  readonly title: string
  /** Whether the case has a place in this backend's report at all. Only refusal cases of capabilities need it. */
  readonly applies?: (world: World) => boolean
  /**
   * `true`; or why the backend cannot do it, and then its `refusal` runs instead; or what the promise has no meaning
   * without, and then the case is not run. A text without a `refusal` is the same.
   */
  readonly needs?: (world: World) => Need
  /** Shows that the backend refuses what it cannot do, before any I/O. */
  readonly refusal?: (context: CaseContext) => Promise<void>
  /** Default: the harness's tuning. */
  readonly deadlineMs?: number
  readonly run: (context: CaseContext) => Promise<void>
}

/** What a case needs. */
export type Need = true | string | { readonly notRun: string }

/** A case that only waits for something this kind of harness does not have. */
export function notRunYet(name: string, title: string, reason: string): Case {
  return { name, title, needs: () => reason, run: () => Promise.resolve() }
}

/** The first reason that is not `true`. */
export function all(...needs: readonly Need[]): Need {
  return needs.find((need) => need !== true) ?? true
}

/** Needs topics that keep the order of keys. */
export function keyOrder(world: World): Need {
  return world.order === 'key' ? true : { notRun: 'topics of order none promise no order' }
}

/** Needs comparable positions. */
export function positions(world: World): Need {
  return world.capabilities.positions === 'comparable' ? true : 'the capability positions is none'
}

/** Needs records to be read as a partitioned log. */
export function logShape(world: World): Need {
  return world.shape === 'log' ? true : { notRun: 'topics here are queues: there are no partitions to hand over' }
}

/** Needs a backend that a second process can use. */
export function childProcess(world: World): Need {
  return world.harness.canKill === true ? true : 'needs harness.canKill: no second process can reach this backend'
}
