import { readFileSync } from 'node:fs'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { JetStreamClient, JetStreamManager, SeqMsgRequest, StoredMsg } from '@nats-io/jetstream'
import { createInbox } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { StreamError, untilAborted } from '@sluice/driver'
import type { Logger, OpenContext } from '@sluice/driver'
import type { NatsConfig } from './config.ts'
import { dial } from './dial.ts'
import { DisconnectedError, isUnanswered, toStreamError } from './errors.ts'
import { Questions } from './questions.ts'
import { SocketKeeper } from './socket-keeper.ts'
import { guardWrites } from './write-guard.ts'

/** How often in a row the user may be refused before that is final: the first can be the end of credentials just renewed. */
const refusalsTaken = 2

/** What happens to a connection, to whom it matters. */
export interface ConnectionListener {
  /** It broke; it is being made again. What was asked and not answered will not be answered. */
  disconnected?(error: DisconnectedError): void
  /** It stands again. Subscriptions are back; what the server kept for this connection alone may be gone. */
  reconnected?(): void
  /** The server refuses to take messages on that subject from us. */
  refused?(subject: string, error: Error): void
  /** It ended for good, and not by our own close. */
  ended?(error: StreamError): void
}

/** One connection to NATS, with JetStream on it. Reconnects by itself, for ever. */
export class Connection {
  readonly client: NatsConnection
  readonly streams: JetStreamManager
  readonly jetstream: JetStreamClient
  readonly apiPrefix: string
  readonly #sockets: SocketKeeper
  readonly #safe: string
  readonly #inboxPrefix: string | undefined
  readonly #logger: Logger
  readonly #listeners = new Set<ConnectionListener>()
  readonly #questions: Questions
  readonly #watching: Promise<void>
  #up = true
  /** What the server said each time that it refused the user, since it was last let in. */
  #refusals: Error[] = []
  /** What the server said when it refused the user for good. */
  #refusal: Error | undefined
  #lost: StreamError | undefined
  #closing: Promise<void> | undefined

  private constructor(
    client: NatsConnection,
    streams: JetStreamManager,
    sockets: SocketKeeper,
    questions: Questions,
    config: NatsConfig,
    { logger }: OpenContext,
  ) {
    this.#sockets = sockets
    this.#questions = questions
    this.client = client
    this.streams = streams
    this.jetstream = jetstream(client, options(config))
    this.apiPrefix = config.apiPrefix
    this.#safe = config.safe
    this.#inboxPrefix = config.inboxPrefix
    this.#logger = logger
    this.#watching = this.#watch()
    void this.#awaitEnd()
  }

  /** Connects and logs in; rejects when no server can be reached, when it refuses us, and when it has no JetStream. */
  static async open(config: NatsConfig, context: OpenContext): Promise<Connection> {
    const { signal } = context
    const operation = `open ${config.safe}`
    const aborted = (): StreamError => StreamError.aborted(signal, operation)
    if (signal.aborted) throw aborted()
    const sockets = new SocketKeeper()
    const dialling = dial(config, sockets)
    const client = await untilAborted(dialling, signal, aborted).catch((error: unknown) => {
      // Whoever gave up does not get the connection when it comes after all.
      void dialling.then((late) => late.close()).catch(() => undefined)
      sockets.close()
      throw explained(toStreamError(error, { operation }), config, operation)
    })
    guardWrites(client)
    const questions = new Questions(client)
    try {
      const streams = await jetstreamManager(client, { ...options(config), checkAPI: false })
      await untilAborted(checkJetStream(streams, operation, config.apiPrefix !== '$JS.API'), signal, aborted)
      return new Connection(client, streams, sockets, questions, config, context)
    } catch (error) {
      await client.close()
      sockets.close()
      throw toStreamError(error, { operation })
    }
  }

  /** Whether requests can be sent now. */
  get up(): boolean {
    return this.#up
  }

  /** Why requests cannot be sent now: for a while, or, when the server refuses the user, for good. */
  get absence(): StreamError {
    return this.#lost ?? new StreamError('unavailable', 'not connected at the moment')
  }

  /** Why the connection ended for good, if it did. */
  get lost(): StreamError | undefined {
    return this.#lost
  }

  /** The most bytes of headers and payload that the server takes. */
  get largestPayload(): number {
    return this.client.info?.max_payload ?? 1024 * 1024
  }

  /** Whether the server is of that version or a later one. */
  isAtLeast(...version: readonly [major: number, minor: number, patch?: number]): boolean {
    const given = (this.client.info?.version ?? '').split('.').map((part) => Number.parseInt(part, 10))
    const at = version.findIndex((part, index) => part !== given[index])
    return at < 0 || (given[at] ?? 0) > (version[at] ?? 0)
  }

  /**
   * Whether a message may be stored on a condition that others have to check again who copy it: the streams are the server's own,
   * and no cluster's, so that each has one copy and gets no other; and the condition does not go along to mirrors (from 2.11.9 on).
   */
  get takesConditions(): boolean {
    const { info } = this.client
    return (
      this.isAtLeast(2, 11, 9) && this.apiPrefix === '$JS.API' && info?.jetstream === true && info.cluster === undefined
    )
  }

  /**
   * What a consumer of a partition's subject is asked to filter by. Up to 2.9 a server refuses subjects that the stream
   * takes no more, those of ended partitions: then everything is read, and what is not wanted is passed over.
   */
  filterFor(subject: string | undefined, ended: boolean): { readonly filter_subject?: string } {
    if (subject === undefined || (ended && !this.isAtLeast(2, 10))) return {}
    return { filter_subject: subject }
  }

  /** A subject that nobody else uses, for answers. */
  newInbox(): string {
    return createInbox(this.#inboxPrefix)
  }

  /**
   * The first message of a subject from a sequence on, asked of the stream's leader; `null`: there is none. The server says that
   * also when it could not load one (see `Store.get`), so it has to say it twice.
   */
  async firstMessage(stream: string, subject: string, from: number): Promise<StoredMsg | null> {
    const query: SeqMsgRequest & { readonly next_by_subj: string } = { seq: Math.max(1, from), next_by_subj: subject }
    const { streams } = this.streams
    return (await streams.getMessage(stream, query)) ?? streams.getMessage(stream, query)
  }

  /** Returns what takes the listener away again. */
  listen(listener: ConnectionListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#listeners.clear()
    await this.client.close()
    this.#sockets.close()
    await this.#watching
  }

  async #watch(): Promise<void> {
    for await (const status of this.client.status()) {
      if (status.type === 'disconnect') {
        this.#up = false
        this.#logger.warn({ backend: this.#safe }, 'the connection broke; reconnecting')
        this.#questions.giveUp()
        for (const listener of this.#listeners) listener.disconnected?.(new DisconnectedError())
      } else if (status.type === 'reconnect') {
        this.#up = true
        this.#refusals = []
        this.#questions.giveUp()
        this.#logger.info({ backend: this.#safe }, 'reconnected')
        for (const listener of this.#listeners) listener.reconnected?.()
      } else if (status.type === 'error') this.#onError(status.error)
    }
  }

  #onError(error: Error): void {
    const { operation, subject } = error as { readonly operation?: unknown; readonly subject?: unknown }
    if (operation === 'publish' && typeof subject === 'string') {
      for (const listener of this.#listeners) listener.refused?.(subject, error)
    } else {
      this.#logger.warn({ backend: this.#safe, error: error.message }, 'the server reports an error')
      if (isRefusal(error)) this.#onRefused(error)
    }
  }

  /** Of credentials that have expired the server says so at their end, and when they are tried again, not always. */
  #onRefused(error: Error): void {
    this.#refusals.push(error)
    if (this.#refusals.length < refusalsTaken) return
    this.#giveUp(this.#refusals.find(({ name }) => name === 'UserAuthenticationExpiredError') ?? error)
  }

  /** The client would knock for ever, and not tell anybody why. */
  #giveUp(refusal: Error): void {
    if (this.#refusal !== undefined) return
    this.#refusal = refusal
    void this.client.close()
  }

  async #awaitEnd(): Promise<void> {
    const reason = await this.client.closed()
    // What the server said last may not have been looked at yet.
    await this.#watching
    if (this.#closing !== undefined) return
    this.#up = false
    const cause = this.#refusal ?? (reason instanceof Error ? reason : new DisconnectedError())
    const error = toStreamError(cause, { operation: `stay connected to ${this.#safe}` })
    this.#lost = error
    for (const listener of this.#listeners) listener.ended?.(error)
  }
}

/** A server that did not wait for the log-in has refused nobody. */
function isRefusal(error: Error): boolean {
  if (error.name === 'UserAuthenticationExpiredError') return true
  return error.name === 'AuthorizationError' && !/timeout/i.test(error.message)
}

function options(config: NatsConfig): { readonly apiPrefix: string; readonly timeout: number } {
  return { apiPrefix: config.apiPrefix, timeout: config.requestTimeoutMs }
}

/** Of what the client says little about, what else is known. */
function explained(error: StreamError, config: NatsConfig, operation: string): StreamError {
  if (error.code === 'timeout') return silent(config, operation, error)
  if (error.code !== 'unauthenticated' || config.login.kind !== 'creds') return error
  const expiredAt = expiryOf(config.login.file)
  if (expiredAt === undefined || expiredAt.getTime() > Date.now()) return error
  const message = `${operation} failed: the credentials expired at ${expiredAt.toISOString()}; renew them and connect again`
  return new StreamError('unauthenticated', message, { cause: error })
}

/** When the credentials in a file end, if they do and say so. */
function expiryOf(file: string): Date | undefined {
  try {
    const [, claims = ''] = /^eyJ[\w-]*\.([\w-]+)\./m.exec(readFileSync(file, 'utf8')) ?? []
    const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { readonly exp?: unknown }
    return typeof exp === 'number' && exp > 0 ? new Date(exp * 1_000) : undefined
  } catch {
    // It only makes an error clearer.
    return undefined
  }
}

/** The client waits in silence when a server hangs up during the handshake, for example for want of a client certificate. */
function silent(config: NatsConfig, operation: string, cause: StreamError): StreamError {
  const hint = config.tls === undefined ? '' : ', and does it ask for a client certificate (?cert, ?key)'
  return new StreamError(
    'unavailable',
    `${operation} failed: no answer within ${config.connectTimeoutMs} ms; is it a NATS server${hint}?`,
    { cause },
  )
}

async function checkJetStream(streams: JetStreamManager, operation: string, elsewhere: boolean): Promise<void> {
  try {
    await streams.getAccountInfo()
  } catch (cause) {
    const error = toStreamError(cause, { operation })
    // A user that may not ask for this can still have what it takes.
    if (error.code === 'permission-denied') return
    if (!isUnanswered(cause)) throw error
    const what = elsewhere
      ? 'nothing answers there for JetStream; are ?domain and ?apiPrefix right, and is it reached from this account'
      : 'JetStream is off; start the server with -js'
    throw new StreamError('unsupported', `${operation} failed: ${what}`, { cause })
  }
}
