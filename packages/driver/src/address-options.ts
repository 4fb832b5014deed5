import type { BackendUrl } from './driver.ts'
import { StreamError } from './errors.ts'
import { didYouMean } from './nearest.ts'

/** One option behind the `?` of an address: what the README's table of an adapter is made from. */
export interface OptionDescription {
  readonly name: string
  readonly default: string
  readonly meaning: string
}

/** Reads the options of an address. What it cannot read it refuses with `invalid-argument`, saying what to write instead. */
export class AddressOptions {
  readonly #url: BackendUrl

  /** Throws for an option that is neither described nor hidden, naming the nearest that is. */
  constructor(url: BackendUrl, descriptions: readonly OptionDescription[], hidden: readonly string[] = []) {
    this.#url = url
    const known = descriptions.map((option) => option.name)
    for (const name of Object.keys(url.options)) {
      if (known.includes(name) || hidden.includes(name)) continue
      throw this.invalid(`has an unknown option "${name}"; ${didYouMean(name, known)}`)
    }
  }

  /** A whole number within both bounds; `undefined` where the address has none. */
  whole(name: string, min: number, max: number): number | undefined {
    const text = this.#url.options[name]
    if (text === undefined) return undefined
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw this.invalid(`has ${name}=${text}; write a whole number from ${min} to ${max}`)
  }

  /** One of a few words; `undefined` where the address has none. */
  choice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.#url.options[name]
    if (text === undefined) return undefined
    const found = choices.find((candidate) => candidate === text)
    if (found !== undefined) return found
    throw this.invalid(`has ${name}=${text}; ${didYouMean(text, choices, `write ${choices.join(' or ')}`)}`)
  }

  /** A text of a form that `what` describes; `undefined` where the address has none. The text itself is not shown. */
  matching(name: string, pattern: RegExp, what: string): string | undefined {
    const text = this.#url.options[name]
    if (text === undefined || pattern.test(text)) return text
    throw this.invalid(`has a bad ${name}; write ${what}`)
  }

  /** Any text but the empty one; `undefined` where the address has none. */
  text(name: string): string | undefined {
    const text = this.#url.options[name]
    return text === '' ? undefined : text
  }

  /** The error for an address with this problem. Shows no secret of the address. */
  invalid(problem: string): StreamError {
    return new StreamError('invalid-argument', `the address ${this.#url.safe} ${problem}`)
  }
}
