import { join } from 'node:path'
import type { Crew, Hand } from './crew.ts'
import { attemptedOf, deliveredOf, inOrder } from './history.ts'
import type { Attempted, Delivered, MemberEnd } from './history.ts'
import { readJournal } from './journal.ts'
import type { MemberLine, ProducerLine } from './journal.ts'
import type { Bug, RoundPlan } from './plan.ts'

/** Where a round takes place. */
export interface Scene {
  readonly plan: RoundPlan
  readonly crew: Crew
  /** Where the one who judges connects. */
  readonly address: string
  /** Where everybody else does: another way to the same place, when that way is made to fail. */
  readonly childAddress: string
  /** For journals. */
  readonly folder: string
  readonly topic: string
  /** Where a function round's outputs go. */
  readonly outputs: string
  readonly bug: Bug | undefined
}

interface Part {
  readonly hand: Hand
  /** A producer's slot, or a member's name. */
  readonly slot: number
  readonly name: string
}

const startMs = 20_000
const stopMs = 15_000
const group = 'crash'

/** The processes of a round: who is on, who was, and what they wrote down. */
export class Cast {
  readonly #scene: Scene
  readonly #past: Part[] = []
  #producers: Part[] = []
  #members: Part[] = []
  #names = 0
  #closing = false
  kills = 0

  constructor(scene: Scene) {
    this.#scene = scene
  }

  get group(): string {
    return group
  }

  /** Starts everybody, and waits until they are connected. */
  async open(): Promise<void> {
    const { members, producers } = this.#scene.plan
    for (let index = 0; index < members; index++) this.#addMember()
    for (let slot = 0; slot < producers; slot++) this.#addProducer(slot)
    await this.ready()
  }

  /** Waits until everybody is connected. */
  async ready(): Promise<void> {
    await Promise.all(this.#everybody().map((part) => part.hand.told('ready', startMs)))
  }

  /** Waits until a producer, the one that started last, has its first receipt. */
  async firstAck(): Promise<void> {
    await this.#producers.at(-1)?.hand.told('first-ack', 2_000)
  }

  async killProducer(victim: number, last = false): Promise<void> {
    const part = last ? this.#producers.at(-1) : choose(this.#producers, victim)
    if (part === undefined) return
    this.#producers = this.#producers.filter((other) => other !== part)
    await this.#kill(part)
    this.#addProducer(part.slot)
  }

  async killMember(victim: number): Promise<void> {
    const part = this.#takeMember(victim)
    if (part === undefined) return
    await this.#kill(part)
    this.#addMember()
  }

  /** Asks a member to close, and kills it while it does so. */
  async killClosingMember(victim: number, gapMs: number): Promise<void> {
    const part = this.#takeMember(victim)
    if (part === undefined) return
    part.hand.askToStop()
    await new Promise((resolve) => setTimeout(resolve, gapMs))
    await this.#kill(part)
    this.#addMember()
  }

  /** A member closes in good order, and another comes. */
  async replaceMember(victim: number): Promise<string | undefined> {
    const part = this.#takeMember(victim)
    if (part === undefined) return undefined
    this.#addMember()
    return this.#stop(part)
  }

  /** The producers finish what is in flight and close. Says what went wrong. */
  async stopProducers(): Promise<readonly string[]> {
    this.#closing = true
    return this.#stopAll(this.#producers)
  }

  async stopMembers(): Promise<readonly string[]> {
    return this.#stopAll(this.#members)
  }

  /** Processes that ended on their own account, which none should. */
  get failures(): readonly string[] {
    return [...this.#past, ...this.#everybody()].flatMap(({ hand, name }) => {
      const { failure } = hand
      return failure === undefined ? [] : [`process: ${name} ${failure}`]
    })
  }

  attempted(): readonly Attempted[] {
    const slots = Array.from({ length: this.#scene.plan.producers }, (_, slot) => slot)
    return slots.flatMap((slot) => attemptedOf(slot, readJournal<ProducerLine>(this.#producerJournal(slot))))
  }

  members(): readonly MemberEnd[] {
    const parts = this.#past.filter((part) => part.slot < 0)
    return parts.map(({ hand, name }) => ({ member: name, killedAt: hand.killedAt }))
  }

  delivered(): readonly Delivered[] {
    return inOrder(
      this.members().flatMap((end) => deliveredOf(end, readJournal<MemberLine>(this.#memberJournal(end.member)))),
    )
  }

  #everybody(): readonly Part[] {
    return [...this.#producers, ...this.#members]
  }

  #takeMember(victim: number): Part | undefined {
    const part = choose(this.#members, victim)
    this.#members = this.#members.filter((other) => other !== part)
    return part
  }

  async #kill(part: Part): Promise<void> {
    await part.hand.kill()
    if (part.hand.killedAt !== undefined) this.kills++
    this.#past.push(part)
  }

  async #stop(part: Part): Promise<string | undefined> {
    const inTime = await part.hand.stop(stopMs)
    this.#past.push(part)
    return inTime ? undefined : `process: ${part.name} did not close within ${stopMs} ms`
  }

  async #stopAll(parts: Part[]): Promise<readonly string[]> {
    const problems = await Promise.all(parts.splice(0).map((part) => this.#stop(part)))
    return problems.filter((problem) => problem !== undefined)
  }

  /** A producer goes on after the last number that an earlier one of its slot tried. */
  #addProducer(slot: number): void {
    if (this.#closing) return
    const { bug, childAddress: address, crew, plan, topic } = this.#scene
    const journal = this.#producerJournal(slot)
    const tried = readJournal<ProducerLine>(journal).flatMap((line) => (line.kind === 'try' ? [line.seq] : []))
    const first = tried.reduce((highest, seq) => Math.max(highest, seq), -1) + 1
    const { recordsPerProducer: end, seed, window } = plan
    const hand = crew.start({ role: 'produce', address, topic, seed, bug, journal, slot, first, end, window })
    this.#producers.push({ hand, slot, name: `producer ${slot} from ${first}` })
  }

  #addMember(): void {
    const { bug, childAddress: address, crew, outputs: to, plan, topic } = this.#scene
    const { member: settings, mode, seed } = plan
    const member = `m${this.#names++}`
    const common = { address, topic, seed, bug, group, member, settings }
    const hand =
      mode === 'group'
        ? crew.start({ role: 'consume', ...common, journal: this.#memberJournal(member) })
        : crew.start({ role: 'apply', ...common, to })
    this.#members.push({ hand, slot: -1, name: member })
  }

  #producerJournal(slot: number): string {
    return join(this.#scene.folder, `producer-${slot}.jsonl`)
  }

  #memberJournal(member: string): string {
    return join(this.#scene.folder, `member-${member}.jsonl`)
  }
}

function choose<T>(items: readonly T[], victim: number): T | undefined {
  return items[Math.floor(victim * items.length)]
}
