import { didYouMean } from '@sluice/driver'
import type { Node } from 'yaml'
import type { Entry, Place, SourceFile } from './source-file.ts'
import { parseDuration, parseSize } from './units.ts'

/**
 * Reads the keys of one map. Each reader returns `undefined` when the key is absent or wrong; what is wrong is
 * reported to the file. {@link finish} reports the keys nobody asked for.
 */
export class Fields {
  readonly #file: SourceFile
  readonly #node: Node | undefined
  readonly #what: string
  readonly #entries = new Map<string, Entry>()
  readonly #asked = new Set<string>()

  /** `what` names the map in messages: `function "classify"`. `at` is its key: the place to blame for what is missing. */
  constructor(file: SourceFile, node: Node | undefined, what: string, at: Node | undefined = node) {
    this.#file = file
    this.#node = at
    this.#what = what
    const entries = file.entriesOf(node)
    if (entries === undefined) file.report(node, `${what} must be a map of keys and values`)
    for (const entry of entries ?? []) this.#entries.set(entry.name, entry)
  }

  /** Where the map stands. */
  get place(): Place {
    return this.#file.placeOf(this.#node)
  }

  /** Where a key's value stands, or the map if it has no such key. */
  placeOf(name: string): Place {
    return this.#file.placeOf(this.#entries.get(name)?.value ?? this.#node)
  }

  /** Notes that a key's value is wrong. */
  report(name: string, text: string): void {
    const entry = this.#entries.get(name)
    this.#file.report(entry?.value ?? entry?.key ?? this.#node, text)
  }

  /** The entries of a nested map, in file order. */
  entries(name: string): readonly Entry[] {
    const entry = this.#ask(name)
    if (entry === undefined) return []
    const entries = this.#file.entriesOf(entry.value)
    if (entries === undefined) this.#wrong(entry, 'must be a map of names')
    return entries ?? []
  }

  /** A nested map, or `undefined` when the key is absent. */
  map(name: string): Fields | undefined {
    const entry = this.#ask(name)
    if (entry === undefined) return undefined
    return new Fields(this.#file, entry.value, `"${name}" of ${this.#what}`, entry.key)
  }

  /** Any value, as plain data. */
  plain(name: string): unknown {
    const entry = this.#ask(name)
    return entry === undefined ? undefined : this.#file.valueOf(entry.value)
  }

  text(name: string): string | undefined {
    return this.#read(name, 'must be text', (value) => (typeof value === 'string' && value !== '' ? value : undefined))
  }

  /** Text that must be there; reports when it is absent and returns `''`. */
  requiredText(name: string, meaning: string): string {
    if (!this.#entries.has(name)) {
      this.#asked.add(name)
      this.#file.report(this.#node, `${this.#what} needs "${name}": ${meaning}`)
    }
    return this.text(name) ?? ''
  }

  /** A whole number, at least `min`. */
  integer(name: string, min: number): number | undefined {
    return this.#read(name, `must be a whole number, at least ${min}`, (value) =>
      typeof value === 'number' && Number.isSafeInteger(value) && value >= min ? value : undefined,
    )
  }

  oneOf<const T extends string>(name: string, choices: readonly T[]): T | undefined {
    return this.#read(name, `must be one of ${choices.join(', ')}`, (value) =>
      choices.find((choice) => choice === value),
    )
  }

  /** Milliseconds. */
  duration(name: string): number | undefined {
    return this.#read(name, 'must be a duration such as 250ms, 30s, 12h or 7d', (value) =>
      typeof value === 'string' ? parseDuration(value) : undefined,
    )
  }

  /** Bytes. */
  size(name: string): number | undefined {
    return this.#read(name, 'must be a size such as 10MB or 1GiB', (value) =>
      typeof value === 'string' ? parseSize(value) : undefined,
    )
  }

  /** Reports every key that was never asked for, with the nearest known one. */
  finish(): void {
    const known = [...this.#asked]
    for (const entry of this.#entries.values()) {
      if (this.#asked.has(entry.name)) continue
      this.#file.report(entry.key, `unknown key "${entry.name}" in ${this.#what}; ${didYouMean(entry.name, known)}`)
    }
  }

  #ask(name: string): Entry | undefined {
    this.#asked.add(name)
    return this.#entries.get(name)
  }

  #read<T>(name: string, rule: string, parse: (value: unknown) => T | undefined): T | undefined {
    const entry = this.#ask(name)
    if (entry === undefined) return undefined
    const parsed = parse(this.#file.valueOf(entry.value))
    if (parsed === undefined) this.#wrong(entry, rule)
    return parsed
  }

  #wrong(entry: Entry, rule: string): void {
    this.#file.report(entry.value ?? entry.key, `"${entry.name}" of ${this.#what} ${rule}`)
  }
}
