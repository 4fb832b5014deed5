import type { Cloud } from '@sluice/core'
import { nearest, StreamError } from '@sluice/driver'
import type { Logger } from '@sluice/driver'
import type { Command } from 'commander'
import { exitCodes, UsageError } from './failure.ts'
import type { Host } from './host.ts'
import { collectLogger } from './logger.ts'
import { Output } from './output.ts'
import type { ResultStream } from './result-stream.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  readonly backend?: string
  readonly json?: boolean
  readonly quiet?: boolean
}

/** What a command works with. */
export class CommandContext {
  readonly host: Host
  readonly output: Output
  /** The address in use, once it is known: for error messages. */
  backend: string | undefined
  /** What the process will exit with. */
  exitCode: number = exitCodes.ok
  readonly #flag: string | undefined

  constructor(host: Host, results: ResultStream, options: GlobalOptions) {
    this.host = host
    this.output = new Output(host, results, { json: options.json === true, quiet: options.quiet === true })
    this.#flag = options.backend
  }

  /** What `--backend` said, else `SLUICE_BACKEND`. */
  get namedBackend(): { readonly flag: string | undefined; readonly environment: string | undefined } {
    // A variable of a script that is not set: it would be some other backend.
    if (this.#flag === '') throw new UsageError('--backend is given without an address')
    return { flag: this.#flag, environment: this.host.env['SLUICE_BACKEND'] }
  }

  /**
   * Connects to the backend that is meant (flag, environment, `./sluice.yaml`, `local:./data`), and closes it again.
   * The signal aborts at Ctrl-C and when stdout takes no more. A topic that is missing is an error unless
   * `create` is set: on the command line a mistyped name is likelier than a new topic. `wayOut` says how to make it.
   */
  async withCloud(
    use: (cloud: Cloud, signal: AbortSignal) => Promise<void>,
    options: { readonly create?: boolean; readonly wayOut?: string } = {},
  ): Promise<void> {
    const { connect } = await import('@sluice/core')
    this.backend = await this.#chooseBackend()
    await this.interruptible(async (signal) => {
      // What is tried again for minutes is not done in silence.
      const logger = this.logger()
      await using cloud = await connect(this.backend ?? '', { signal, logger, create: options.create === true })
      try {
        await use(cloud, signal)
      } catch (error) {
        throw await withNearestTopic(error, cloud, options.wayOut)
      }
    })
  }

  /** Tells on stderr what goes wrong on the way; everything with `verbose`. */
  logger(verbose = false): Logger {
    const { json, quiet } = this.output
    const usual = quiet ? 'error' : 'warn'
    return collectLogger(this.host.stderr, { json, level: verbose ? 'debug' : usual })
  }

  /** Runs `work` so that Ctrl-C ends it in an orderly way, with exit code 130. A second Ctrl-C ends it at once. */
  async interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const interrupt = new AbortController()
    let interrupted = false
    const stopListening = this.host.onInterrupt(() => {
      if (interrupted) this.host.exit(exitCodes.interrupted)
      interrupted = true
      interrupt.abort()
    })
    const signal = AbortSignal.any([interrupt.signal, this.output.gone])
    try {
      await work(signal)
    } catch (error) {
      // What went wrong of itself is told, also when it comes out only while all is being ended.
      if (!signal.aborted || !isOf(error, signal)) throw error
    } finally {
      stopListening()
    }
    if (interrupted) this.exitCode = exitCodes.interrupted
  }

  async #chooseBackend(): Promise<string> {
    const { chooseBackend, loadPipeline, pipelineFileName } = await import('@sluice/runtime')
    const { existsSync } = await import('node:fs')
    const named = chooseBackend(this.namedBackend)
    if (named.source !== 'default' || !existsSync(pipelineFileName)) return named.address
    return chooseBackend({ pipeline: await loadPipeline(pipelineFileName) }).address
  }
}

/** Whether an error says no more than that a signal has ended the work. */
function isOf(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason || StreamError.is(error, 'aborted') || StreamError.is(error, 'closed')) return true
  return error instanceof Error && error.name === 'AbortError'
}

/** An error of a topic that does not exist with the name that may have been meant; any other error as it is. */
async function withNearestTopic(error: unknown, cloud: Cloud, wayOut: string | undefined): Promise<unknown> {
  if (!StreamError.is(error, 'not-found')) return error
  const { topic } = error.details
  if (typeof topic !== 'string' || !cloud.capabilities.admin.includes('list')) return error
  const known = await topicsOf(cloud)
  if (known === undefined || known.includes(topic)) return error
  const guess = nearest(topic, known)
  const make = wayOut ?? `make it with \`sluice topics create ${topic}\``
  const help = guess === undefined ? make : `did you mean "${guess}"? else ${make}`
  return new StreamError('not-found', `topic "${topic}" does not exist; ${help}`, {
    cause: error,
    details: error.details,
  })
}

/** `undefined` for who may not list: the first error says more than that one. */
async function topicsOf(cloud: Cloud): Promise<readonly string[] | undefined> {
  try {
    return await cloud.admin.listTopics()
  } catch {
    return undefined
  }
}

/** What a command does: its arguments, its own options, and the context. */
export type Action = (
  context: CommandContext,
  args: readonly string[],
  options: Readonly<Record<string, unknown>>,
) => Promise<void>

/** Adds commands to the program. `act` turns an action into commander's form and handles errors. */
export type Register = (program: Command, act: (action: Action) => (...args: unknown[]) => Promise<void>) => void
