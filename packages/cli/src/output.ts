import type { Host } from './host.ts'
import type { ResultStream } from './result-stream.ts'
import { formatTable } from './table.ts'

/** How much is said, and in which form. */
export interface OutputOptions {
  /** One JSON object per line. */
  readonly json: boolean
  /** Only what was asked for, and errors. */
  readonly quiet: boolean
}

/** Where a command says what it has to say: results on stdout, everything else on stderr. */
export class Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly #host: Host
  readonly #results: ResultStream

  constructor(host: Host, results: ResultStream, options: OutputOptions) {
    this.#host = host
    this.#results = results
    this.json = options.json
    this.quiet = options.quiet
    host.stderr.on('error', () => undefined)
  }

  /** Aborts when results can no longer be written. */
  get gone(): AbortSignal {
    return this.#results.gone
  }

  /** A result: its text, or its data with `--json`. */
  result(data: object, text: string): void {
    this.#write(this.json ? JSON.stringify(data) : text)
  }

  /** Results as a table, or one JSON object each. */
  table<T extends object>(rows: readonly T[], columns: readonly (keyof T & string)[]): void {
    if (this.json) for (const row of rows) this.#write(JSON.stringify(row))
    else if (rows.length > 0) this.#write(formatTable(rows, columns))
  }

  /** Something to know that is no result; silent with `--quiet` and with `--json`. */
  note(text: string): void {
    if (!this.quiet && !this.json) this.#host.stderr.write(`${text}\n`)
  }

  #write(text: string): void {
    this.#results.write(`${text}\n`)
  }
}
