/** One combination of what is sent. */
export interface Cell {
  /** About how many bytes of JSON a value has. */
  readonly bytes: number
  /** Different keys; 0: records without a key, on a topic that keeps no order. */
  readonly keys: number
  /** Records of a phase. */
  readonly records: number
  /** Sends in flight at once. */
  readonly window: number
  /** Sends awaited one by one. */
  readonly singles: number
  /** Sends per second while latency is measured. */
  readonly perSecond: number
  /** How long latency is measured, in seconds; 0: not at all, nor single sends. */
  readonly seconds: number
}

/** What is sent. `sentAt` is on the clock of the process. */
export interface Value {
  readonly id: string
  readonly cents: number
  readonly sentAt: number
  readonly note: string
}

/** A message of a cell. */
export interface Item {
  readonly key: string | undefined
  readonly value: Value
}

/** What a backend is given to do. */
export interface Pace {
  /** Records of a phase: enough for half a second at least. */
  readonly records: number
  /** Sends per second while latency is measured. */
  readonly perSecond: number
}

/** Turns in which a phase is measured: what else happens on the machine then meets all ways. For each one timed, so many may be taken again. */
export const turns = { pace: 3, times: 40, spare: 2 }

/** Fewer: each is acknowledged by itself. */
const recordsWithoutOrder = 20_000
const mostBytes = 200 * 1024 * 1024
/** Sends under way, and their bytes. */
const mostInFlight = { records: 4_000, bytes: 16 * 1024 * 1024 }

/** The cell of a size and a number of keys, of so many records where they are small. `patient` measures single sends and latency too. */
export function cellOf(bytes: number, keys: number, pace: Pace, patient: boolean): Cell {
  const { perSecond, records } = pace
  const large = bytes > 16 * 1024
  return {
    bytes,
    keys,
    records: Math.min(keys === 0 ? recordsWithoutOrder : records, Math.floor(mostBytes / bytes)),
    window: Math.min(mostInFlight.records, Math.floor(mostInFlight.bytes / bytes)),
    singles: patient ? (large ? 4_000 : 10_000) : 0,
    perSecond: large ? perSecond / 5 : perSecond,
    seconds: patient ? 10 : 0,
  }
}

/** What it is called. */
export function nameOf(cell: Cell): string {
  const keys = cell.keys === 0 ? 'no order' : cell.keys === 1 ? '1 key' : `${cell.keys} keys`
  return `${sizeName(cell.bytes)}, ${keys}`
}

/** The size in words. */
export function sizeName(bytes: number): string {
  return bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KB`
}

/** Makes the items of a cell. */
export class Items {
  readonly #keys: readonly string[]
  readonly #note: string

  constructor(cell: Cell) {
    this.#keys = Array.from({ length: cell.keys }, (_, index) => `key-${index}`)
    this.#note = 'x'.repeat(Math.max(1, cell.bytes - 60))
  }

  at(index: number): Item {
    const key = this.#keys.length === 0 ? undefined : (this.#keys[index % this.#keys.length] ?? '')
    return { key, value: { id: `a${index}`, cents: 1200, sentAt: performance.now(), note: this.#note } }
  }
}
