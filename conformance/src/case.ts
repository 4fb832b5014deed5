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
  /** `true`, or why the promise cannot be asked of this backend. With a `refusal` that runs instead; without, the case is not run. */
  readonly needs?: (world: World) => true | string
  /** Shows that the backend refuses what it cannot do, before any I/O. */
  readonly refusal?: (context: CaseContext) => Promise<void>
  /** Default: the harness's tuning. */
  readonly deadlineMs?: number
  readonly run: (context: CaseContext) => Promise<void>
}

/** A case that only waits for something this kind of harness does not have. */
export function notRunYet(name: string, title: string, reason: string): Case {
  return { name, title, needs: () => reason, run: () => Promise.resolve() }
}

/** The first reason that is not `true`. */
export function all(...needs: readonly (true | string)[]): true | string {
  return needs.find((need) => need !== true) ?? true
}

/** Needs topics that keep the order of keys. */
export function keyOrder(world: World): true | string {
  return world.order === 'key' ? true : 'topics of order none promise no order'
}

/** Needs comparable positions. */
export function positions(world: World): true | string {
  return world.capabilities.positions === 'comparable' ? true : 'the capability positions is none'
}

/** Needs records to be read as a partitioned log. */
export function logShape(world: World): true | string {
  return world.shape === 'log' ? true : 'topics here are queues: there are no partitions to hand over'
}

/** Needs a backend that a second process can use. */
export function childProcess(world: World): true | string {
  return world.harness.canKill === true ? true : 'needs harness.canKill: no second process can reach this backend'
}
