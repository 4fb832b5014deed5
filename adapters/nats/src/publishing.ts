import { StreamError } from '@sluice/driver'
import type { Clock, Timer } from '@sluice/driver'
import { behindBytes, isOutOfLine, isRefusal, mostTogether, togetherBytes } from './acks.ts'
import type { Acks, Answer, Message as Written, Sent } from './acks.ts'
import { toStreamError } from './errors.ts'
import type { Following, Weighing } from './weighing.ts'
import type { SendWindow } from './window.ts'

/** What a request is published with. */
export interface PublishingContext {
  readonly acks: Acks
  readonly clock: Clock
  /** Whether to have messages stored together; `undefined`: the stream stores none so. */
  readonly weighing: Pick<Weighing, 'prefersTogether' | 'tookInTurn' | 'tookTogether'> | undefined
  /** How many of a run are under way at once, each behind the one before it; `undefined`: the stream cannot have that. */
  readonly window: Pick<SendWindow, 'size' | 'took'> | undefined
  /** Ends the wait for answers. */
  readonly signal: AbortSignal
  /** For messages. */
  readonly what: string
  /** How long an answer is waited for. Milliseconds. */
  readonly timeoutMs: number
}

/** A message of a request. */
export interface Message extends Written {
  /** Nothing that was stored before has its id, but by an earlier try of the message itself. */
  readonly idIsNew: boolean
  /** Bytes that it may grow by, for what sending it with others adds. */
  readonly room: number
}

/** What became of a message; `behind`: it was not tried, because one that it follows was not stored. */
export type Outcome = Answer | { readonly kind: 'behind' }

/** The share of the time for answers in which more of a run is sent; what is left then is behind. */
const shareForMore = 0.5

/**
 * One request on its way. A message that follows another may only be stored if that one was. Where the window allows it, such are
 * sent at once, each on the condition that the one before it is stored; or together, to be stored all or none; or else one after
 * another, each when the one before it is stored.
 */
export class Publishing {
  readonly #context: PublishingContext
  /** Some of it answered by now, which are not to be given up any more. */
  readonly #sent: Sent[] = []
  // Set where it stands, not in the constructor: V8 puts a function that is assigned to a property among the old objects.
  readonly #onAbort = (): void => this.#giveUp(abortedOnTheWay(this.#context))
  #timer: Timer | undefined
  #armedMs = 0
  #ended = false

  constructor(context: PublishingContext) {
    this.#context = context
    context.signal.addEventListener('abort', this.#onAbort, { once: true })
    this.#arm()
  }

  /** Publishes messages; in each run one follows another. A message that is not there was refused before. */
  async publish(
    messages: readonly (Message | undefined)[],
    runs: readonly (readonly number[])[],
  ): Promise<readonly (Outcome | undefined)[]> {
    const outcomes: (Outcome | undefined)[] = Array.from(messages, () => undefined)
    const longer: Run[] = []
    const single: Run[number][] = []
    for (const indexes of runs) {
      const run = this.#cut(indexes, messages, outcomes)
      if (run.length > 1) longer.push(run)
      else single.push(...run)
    }
    const { weighing, window } = this.#context
    const behind: Run[] = []
    const others: Run[] = []
    for (const run of longer) (window !== undefined && canFollow(run) ? behind : others).push(run)
    const longest = others.reduce<Run>((most, run) => (run.length > most.length ? run : most), [])
    // One that is long enough takes the others along.
    const worthIt = weighing?.prefersTogether(sizeOf(longest)) === true
    const together: Run[] = []
    const inTurn: Run[] = []
    for (const run of others) (worthIt && fitsTogether(run) ? together : inTurn).push(run)
    await Promise.all([
      this.#atOnce(single, outcomes),
      ...behind.map((run) => this.#inOrder(run, outcomes, window)),
      ...batchesOf(together).map((batch) => this.#together(batch, outcomes)),
      ...inTurn.map((run) => this.#inOrder(run, outcomes)),
    ])
    return outcomes
  }

  /** Nothing more is sent or waited for. */
  end(): void {
    this.#context.signal.removeEventListener('abort', this.#onAbort)
    this.#timer?.cancel()
  }

  /** What of a run may be sent: all before the first that was refused. */
  #cut(indexes: readonly number[], messages: readonly (Message | undefined)[], outcomes: (Outcome | undefined)[]): Run {
    const run: { index: number; message: Message }[] = []
    let broken = false
    for (const index of indexes) {
      const message = messages[index]
      if (broken) outcomes[index] = { kind: 'behind' }
      else if (message === undefined) broken = true
      else run.push({ index, message })
    }
    return run
  }

  /** Of these none follows another. */
  async #atOnce(single: Run, outcomes: (Outcome | undefined)[]): Promise<void> {
    const { acks, clock, weighing } = this.#context
    const begunMs = clock.monotonic()
    const underWay = acks.waiting + 1
    const asked = single.map(({ message }) => this.#send((acks) => acks.send(message)))
    for (const [at, { index }] of single.entries()) {
      const answer = await asked[at]
      outcomes[index] = answer
      if (at === 0 && answer?.kind === 'stored') weighing?.tookInTurn(clock.monotonic() - begunMs, underWay)
    }
  }

  async #together(runs: readonly Run[], outcomes: (Outcome | undefined)[]): Promise<void> {
    const { acks, clock, weighing } = this.#context
    const all = runs.flat()
    const begunMs = clock.monotonic()
    const underWay = acks.waiting + 1
    const answer = await this.#send((acks) => acks.sendTogether(all.map(({ message }) => message)))
    if (answer.kind === 'stored') weighing?.tookTogether(clock.monotonic() - begunMs, sizeOf(all), underWay)
    // Nothing of it is stored, be it for a single message that was stored before. Each is told for itself.
    if (answer.kind !== 'behind' && isRefusal(answer)) {
      this.#arm()
      await Promise.all(runs.map((run) => this.#inOrder(run, outcomes)))
      return
    }
    for (const [at, { index }] of all.entries()) {
      outcomes[index] =
        answer.kind === 'stored' ? { ...answer, sequence: answer.sequence - (all.length - 1 - at) } : answer
    }
  }

  /** Without a window one after another. What is not stored in the end for want of time, or behind one that failed, is behind. */
  async #inOrder(
    run: Run,
    outcomes: (Outcome | undefined)[],
    window?: Pick<SendWindow, 'size' | 'took'>,
  ): Promise<void> {
    const { clock, timeoutMs } = this.#context
    const endMs = clock.monotonic() + timeoutMs * shareForMore
    for (const { index } of run) outcomes[index] = { kind: 'behind' }
    for (let at = 0; at < run.length && !this.#ended && clock.monotonic() <= endMs;) {
      if (at > 0) this.#arm()
      const piece = pieceOf(run, at, window?.size ?? 1)
      const { stored, failed } = await this.#piece(piece, outcomes)
      if (failed) return
      window?.took(piece.length, stored)
      at += stored
    }
  }

  /**
   * Sends messages at once, each but the first on the condition that the one before it is the last in the stream. Tells how many
   * were stored, up to the first that was not, and whether any failed; if none did, that one was out of line.
   */
  async #piece(
    piece: Run,
    outcomes: (Outcome | undefined)[],
  ): Promise<{ readonly stored: number; readonly failed: boolean }> {
    const { acks, clock, weighing } = this.#context
    const begunMs = clock.monotonic()
    const underWay = acks.waiting + 1
    const asked = piece.map(({ message }, at) => {
      const previous = piece[at - 1]?.message.id
      return this.#send((acks) => (previous === undefined ? acks.send(message) : acks.sendBehind(previous, message)))
    })
    let stored = 0
    let failed = false
    for (const [at, { index }] of piece.entries()) {
      const answer = await asked[at]
      if (answer === undefined || (answer.kind !== 'behind' && isOutOfLine(answer))) continue
      outcomes[index] = answer
      if (answer.kind !== 'stored') failed = true
      // One that was stored by an earlier try is, even behind one that was not.
      else if (stored === at) stored++
    }
    if (stored === 1 && piece.length === 1) weighing?.tookInTurn(clock.monotonic() - begunMs, underWay)
    return { stored, failed }
  }

  /** Sends now; gives the answer, which never rejects. */
  #send(send: (acks: Acks) => Sent): Promise<Outcome> {
    const { acks, what } = this.#context
    if (this.#ended) return Promise.resolve({ kind: 'behind' })
    try {
      const sent = send(acks)
      this.#sent.push(sent)
      return sent.answer
    } catch (cause) {
      return Promise.resolve({ kind: 'failed', error: toStreamError(cause, { operation: what }) })
    }
  }

  /**
   * One timer for all that is under way: one for each message would cost more than the message. The time for an answer begins anew with
   * each that comes to the connection: over a slow line those before it take theirs.
   */
  #arm(): void {
    const { clock, timeoutMs } = this.#context
    this.#armedMs = clock.monotonic()
    this.#timer?.cancel()
    this.#timer = clock.after(timeoutMs, () => this.#onTime())
  }

  #onTime(): void {
    const { acks, clock, timeoutMs, what } = this.#context
    const silentMs = clock.monotonic() - Math.max(this.#armedMs, acks.heardMs)
    if (silentMs >= timeoutMs) this.#giveUp(unanswered(what, timeoutMs))
    else this.#timer = clock.after(timeoutMs - silentMs, () => this.#onTime())
  }

  #giveUp(error: StreamError): void {
    this.#ended = true
    for (const sent of this.#sent) sent.giveUp(error)
  }
}

type Run = readonly { readonly index: number; readonly message: Message }[]

function sizeOf(run: Run): Following {
  return { records: run.length, bytes: run.reduce((sum, { message }) => sum + message.body.length, 0) }
}

/**
 * Whether each can be stored behind the one before it. What has the id of something else that was stored would be taken for stored
 * where that is, and let those behind it pass though what comes before it is not stored.
 */
function canFollow(run: Run): boolean {
  return run.every(({ message }, at) => message.idIsNew || at === run.length - 1)
}

function fitsTogether(run: Run): boolean {
  return run.length <= mostTogether && run.every(({ message }) => message.room >= togetherBytes)
}

/** What is sent next of a run: as many as the window allows, up to one that has no room for its condition. */
function pieceOf(run: Run, from: number, size: number): Run {
  let to = from + 1
  for (; to < run.length && to < from + size; to++) {
    const [previous, next] = [run[to - 1], run[to]]
    if (previous === undefined || next === undefined || next.message.room < behindBytes(previous.message.id)) break
  }
  return run.slice(from, to)
}

/** Puts whole runs together, as many as are stored at once. */
function batchesOf(runs: readonly Run[]): readonly (readonly Run[])[] {
  const batches: Run[][] = []
  let size = Infinity
  for (const run of runs) {
    if (size + run.length > mostTogether) {
      batches.push([run])
      size = run.length
    } else {
      batches.at(-1)?.push(run)
      size += run.length
    }
  }
  return batches
}

function abortedOnTheWay({ signal, what }: PublishingContext): StreamError {
  return new StreamError('aborted', `${what} was aborted while it was on its way; it may have been stored`, {
    cause: signal.reason,
    ambiguous: true,
  })
}

function unanswered(what: string, afterMs: number): StreamError {
  return new StreamError('timeout', `${what} failed: no answer of the stream within ${afterMs} ms`)
}
