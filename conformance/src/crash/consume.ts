import { setTimeout as after } from 'node:timers/promises'
import { defineFunction } from '@sluice/core'
import type { Cloud, ConsumerOptions, Message } from '@sluice/core'
import { json } from '../codecs.ts'
import { between, seededRandom } from '../random.ts'
import type { PartitionEvent } from '../shim/call.ts'
import type { ApplyInstruction, ConsumeInstruction, Output, Payload } from './instruction.ts'
import { Journal, microsNow } from './journal.ts'
import type { MemberLine } from './journal.ts'
import { openMs, patiently } from './patiently.ts'
import type { Bug, MemberSettings } from './plan.ts'

/** Handles messages as a group member and notes each before it returns. */
export async function consume(
  cloud: Cloud,
  events: readonly PartitionEvent[],
  instruction: ConsumeInstruction,
  signal: AbortSignal,
): Promise<void> {
  const { bug, member, seed, settings } = instruction
  const group = bug === 'two-groups' ? `${instruction.group}-${member}` : instruction.group
  const topic = cloud.topic(instruction.topic, { codec: json<Payload>() })
  const handler = new JournallingHandler(new Journal<MemberLine>(instruction.journal), events, seed, bug)
  const { batch, concurrency } = settings
  const once = (): Promise<unknown> => {
    const consumer = topic.consumer({ ...optionsOf(settings, bug), group, member })
    if (batch === undefined) return consumer.run((message) => handler.handle(message), { signal, concurrency })
    const options = { signal, concurrency, batch: { max: batch, waitMs: 2 } }
    return consumer.run((messages: readonly Message<Payload>[]) => handler.handleAll(messages), options)
  }
  // The backend may be away at the very start; what fails after that is a failure of the member.
  await patiently(openMs, once, () => events.length === 0)
  handler.noteEvents()
}

/** Runs a function that makes one output of each input, under the input's key. */
export async function apply(cloud: Cloud, instruction: ApplyInstruction, signal: AbortSignal): Promise<void> {
  const { bug, group, member, seed, settings, to, topic: from } = instruction
  const copy = defineFunction<unknown, Output>({
    name: 'copy',
    handle: async (message) => {
      const { slot, seq } = message.value as Payload
      const fate = fateOf(seed, slot, seq, message.attempt)
      if (fate.waitMs > 0) await after(fate.waitMs)
      if (fate.fails) throw new Error('a failure that passes')
      return { value: { slot, seq }, ...(message.key === undefined ? {} : { key: message.key }) }
    },
  })
  const delivery = bug === 'at-least-once' ? 'at-least-once' : 'exactly-once'
  const { concurrency } = settings
  const worker = cloud.worker(copy, { ...optionsOf(settings, bug), from, to, group, member, delivery, concurrency })
  await worker.run({ signal })
}

/** No dead letters: every message is handled in the end, or is lost. */
function optionsOf(
  settings: MemberSettings,
  bug: Bug | undefined,
): Omit<ConsumerOptions<never>, 'group' | 'onSettled'> {
  const { commitIntervalMs, maxBufferedRecords, maxUncommitted } = settings
  const progress = bug === 'no-commit' ? { commitIntervalMs: 3_600_000 } : { commitIntervalMs, maxUncommitted }
  return { ...progress, maxBufferedRecords, deadLetter: false, retry: { baseMs: 2, maxMs: 10 }, revokeTimeoutMs: 5_000 }
}

/** What becomes of one attempt, the same for whoever handles it. */
function fateOf(
  seed: number,
  slot: number,
  seq: number,
  attempt: number,
): { readonly waitMs: number; readonly fails: boolean } {
  const random = seededRandom(Math.imul(seed, 31) ^ Math.imul(seq * 4 + slot + 1, 2_654_435_761) ^ attempt)
  const kind = random()
  const slow = kind < 0.01 ? between(random, 30, 60) : between(random, 1, 4)
  return { waitMs: kind < 0.2 ? slow : 0, fails: attempt < 4 && random() < (attempt === 1 ? 0.02 : 0.3) }
}

class JournallingHandler {
  readonly #journal: Journal<MemberLine>
  readonly #events: readonly PartitionEvent[]
  #noted = 0
  readonly #seed: number
  readonly #bug: Bug | undefined
  #deliveries = 0

  constructor(journal: Journal<MemberLine>, events: readonly PartitionEvent[], seed: number, bug: Bug | undefined) {
    this.#journal = journal
    this.#events = events
    this.#seed = seed
    this.#bug = bug
  }

  handle(message: Message<Payload>): Promise<void> | void {
    if (this.#bug === 'ack-before-handling') {
      setTimeout(() => void this.#work(message), 100)
      return
    }
    const working = this.#work(message)
    if (typeof working === 'boolean') return this.#failIf(!working)
    return working.then((done) => this.#failIf(!done))
  }

  /** A message that fails is retried, and so are those of its key behind it; the rest of the batch is done. */
  async handleAll(messages: readonly Message<Payload>[]): Promise<void> {
    const failed = new Set<string>()
    for (const message of messages) {
      if (message.key !== undefined && failed.has(message.key)) continue
      if (await this.#work(message)) continue
      message.retry()
      if (message.key !== undefined) failed.add(message.key)
    }
  }

  /** Writes down what the member was told of its partitions since the last time. */
  noteEvents(): void {
    for (; this.#noted < this.#events.length; this.#noted++) {
      const { kind, partitions = [] } = this.#events[this.#noted] ?? {}
      if (kind !== 'assigned' && kind !== 'lost') continue
      for (const partition of partitions) this.#journal.write({ kind: `partition-${kind}`, partition })
    }
  }

  /** Whether it worked. Without a wait it is over before it returns. */
  #work(message: Message<Payload>): boolean | Promise<boolean> {
    this.noteEvents()
    const n = ++this.#deliveries
    const { attempt, id, key, partition, position, value } = message
    const { pad, seq, slot } = value
    const at = microsNow()
    this.#journal.write({ kind: 'begin', n, slot, seq, key, id, bytes: pad.length, partition, position, attempt, at })
    message.signal.addEventListener('abort', () => this.#journal.write({ kind: 'lost', n, at: microsNow() }))
    const { fails, waitMs } = fateOf(this.#seed, slot, seq, attempt)
    const end = (): boolean => {
      this.#journal.write({ kind: fails ? 'fail' : 'done', n, at: microsNow() })
      return !fails
    }
    return waitMs === 0 ? end() : after(waitMs).then(end)
  }

  #failIf(failed: boolean): void {
    if (failed) throw new Error('a failure that passes')
  }
}
