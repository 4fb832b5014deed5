import type { Host } from './host.ts'
import { formatTable } from './table.ts'

/** How much is said, and in which form. */
export interface OutputOptions {
  /** One JSON object per line. */
  readonly json: boolean
  /** Only what was asked for, and errors. */
  readonly quiet: boolean
}

/**
 * Where a command says what it has to say: results on stdout, everything else on stderr. When the reader of stdout goes
 * away (`sluice tail orders | head -1`) the command is told through {@link gone}, and nothing fails.
 */
export class Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly #host: Host
  readonly #gone = new AbortController()

  constructor(host: Host, options: OutputOptions) {
    this.#host = host
    this.json = options.json
    this.quiet = options.quiet
    host.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      this.#gone.abort()
    })
    host.stderr.on('error', () => undefined)
  }

  /** Aborts when nobody reads stdout any more. */
  get gone(): AbortSignal {
    return this.#gone.signal
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
    if (!this.#gone.signal.aborted) this.#host.stdout.write(`${text}\n`)
  }
}
