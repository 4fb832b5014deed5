import type { Database } from './database.ts'

/** The two clocks of the machine. */
export interface MachineClock {
  readonly wall: () => number
  readonly monotonic: () => number
}

/** Written no more often than this, in milliseconds. */
const grainMs = 100

/**
 * The store's own time, for queue leases: it only goes forward, whatever is done to the machine's clock, and all
 * processes on one folder agree on it to within {@link grainMs}. It begins at the wall clock, then follows the
 * monotonic one; the highest time anybody used is kept in the store, and whoever is behind catches up with it.
 */
export class StoreClock {
  readonly #database: Database
  readonly #machine: MachineClock
  #offset: number

  constructor(database: Database, machine: MachineClock) {
    this.#database = database
    this.#machine = machine
    this.#offset = machine.wall() - machine.monotonic()
  }

  /** Milliseconds; at least what any process has written down. */
  now(): number {
    const own = Math.floor(this.#machine.monotonic() + this.#offset)
    const known = this.#database.get<{ value: number }>("SELECT value FROM facts WHERE name = 'clock'")?.value ?? 0
    if (known <= own) return own
    this.#offset += known - own
    return known
  }

  /** As {@link now}, and writes it down. Only inside a write transaction. */
  advance(): number {
    const now = this.now()
    this.#database.run(
      `INSERT INTO facts (name, value) VALUES ('clock', ?)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value + ${grainMs}`,
      now,
    )
    return now
  }
}
