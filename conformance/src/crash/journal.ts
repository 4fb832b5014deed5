import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'

/** Microseconds on the machine's monotonic clock, which all its processes share. */
export type Micros = number

/** What a producer notes. A record is `try` before it is sent; it counts as acknowledged once its `ack` is written. */
export type ProducerLine =
  | {
      readonly kind: 'try'
      readonly seq: number
      readonly key: string | undefined
      readonly id: string
      readonly bytes: number
    }
  | { readonly kind: 'ack'; readonly seq: number; readonly id: string }
  | { readonly kind: 'refused'; readonly seq: number; readonly why: string }

/**
 * What a group member notes: each delivery by its order number, and how it ended. `lost`: it was told to give it up. What
 * it was told of its partitions stands before the next delivery.
 */
export type MemberLine =
  | {
      readonly kind: 'begin'
      readonly n: number
      readonly slot: number
      readonly seq: number
      readonly key: string | undefined
      readonly id: string
      readonly bytes: number
      readonly partition: string
      readonly position: string | undefined
      readonly attempt: number
      readonly at: Micros
    }
  | { readonly kind: 'done' | 'fail' | 'lost'; readonly n: number; readonly at: Micros }
  | { readonly kind: 'partition-assigned'; readonly partition: string }
  | { readonly kind: 'partition-lost'; readonly partition: string }

/** Now, on the clock of the journals. */
export function microsNow(): Micros {
  return Number(process.hrtime.bigint() / 1_000n)
}

/**
 * A journal that is written line by line. A line is with the operating system, and survives SIGKILL, when `write` returns. A kill
 * can cut a write off between two pages: whoever goes on with a journal takes such a rest away first.
 */
export class Journal<Line> {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
    const written = readFileSync(path)
    ftruncateSync(this.#file, written.lastIndexOf('\n') + 1)
  }

  write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** The whole lines of a journal; what a kill cut off at the end does not count. None when there is no such file. */
export function readJournal<Line>(path: string): readonly Line[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line)
}
