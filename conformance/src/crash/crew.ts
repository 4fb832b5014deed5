import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ChildEvent, Instruction } from './instruction.ts'
import { microsNow } from './journal.ts'
import type { Micros } from './journal.ts'

/** Child processes of the runner, with a few in reserve so that a replacement starts without delay. */
export class Crew {
  readonly #environment: NodeJS.ProcessEnv
  readonly #reserve: Hand[] = []
  readonly #alive = new Set<Hand>()
  #dismissed = false

  /** The children get `environment`. */
  constructor(environment: NodeJS.ProcessEnv) {
    this.#environment = environment
  }

  /** Keeps `count` children waiting. */
  prepare(count: number): void {
    while (!this.#dismissed && this.#reserve.length < count) this.#reserve.push(this.#spawn())
  }

  /** A child that follows the instruction from now on. */
  start(instruction: Instruction): Hand {
    const hand = this.#reserve.shift() ?? this.#spawn()
    hand.instruct(instruction)
    return hand
  }

  /** SIGKILLs every child, at once and without waiting: also for the end of this process. */
  dismiss(): void {
    this.#dismissed = true
    for (const hand of this.#alive) hand.signalKill()
  }

  /** As {@link dismiss}, and waits until they are gone. */
  async close(): Promise<void> {
    this.dismiss()
    await Promise.all([...this.#alive].map((hand) => hand.gone))
  }

  #spawn(): Hand {
    const hand = new Hand(startProgram(this.#environment))
    this.#alive.add(hand)
    void hand.gone.then(() => this.#alive.delete(hand))
    return hand
  }
}

function startProgram(environment: NodeJS.ProcessEnv): ChildProcess {
  const source = import.meta.url.endsWith('.ts')
  const program = fileURLToPath(new URL(source ? './child.ts' : './child.js', import.meta.url))
  const flags = source ? ['--conditions=@sluice/source', '--disable-warning=ExperimentalWarning'] : []
  return spawn(process.execPath, [...flags, program], { stdio: ['pipe', 'pipe', 'pipe'], env: environment })
}

/** One child process. */
export class Hand {
  readonly #process: ChildProcess
  readonly #events = new Map<ChildEvent, PromiseWithResolvers<void>>()
  #errors = ''
  /** Resolves when the process has ended and its output was read. */
  readonly gone: Promise<void>
  /** Just before it was sent SIGKILL; it did nothing a while later. `undefined`: it was not killed. */
  killedAt: Micros | undefined

  constructor(child: ChildProcess) {
    this.#process = child
    this.gone = new Promise((resolve) => {
      child.once('close', () => resolve())
      child.once('error', (error) => {
        this.#errors += String(error)
        resolve()
      })
    })
    void this.gone.then(() => this.#event('idle').resolve())
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => this.#event(line as ChildEvent).resolve())
    child.stderr?.on('data', (data: Buffer) => (this.#errors += data.toString()))
    // The pipe of a child that was killed breaks; its end is what is looked at.
    child.stdin?.on('error', () => undefined)
  }

  /** Whether it ended on its own account, and not in good order. */
  get failure(): string | undefined {
    const { exitCode, signalCode } = this.#process
    if (this.killedAt !== undefined || exitCode === 0) return undefined
    if (exitCode === null && signalCode === null) return this.#errors === '' ? undefined : this.#errors
    return `ended by itself with ${signalCode ?? `code ${exitCode}`}: ${this.#errors}`
  }

  get ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  instruct(instruction: Instruction): void {
    this.#process.stdin?.write(`${JSON.stringify(instruction)}\n`)
  }

  /** Resolves when it told of the event, or ended, or `ms` have passed. */
  async told(event: ChildEvent, ms: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    await Promise.race([this.#event(event).promise, this.gone, late])
    clearTimeout(timer)
  }

  /** Asks it to close in good order. */
  askToStop(): void {
    this.#process.stdin?.write('stop\n')
  }

  signalKill(): void {
    if (this.ended) return
    this.killedAt ??= microsNow()
    this.#process.kill('SIGKILL')
  }

  async kill(): Promise<void> {
    this.signalKill()
    await this.gone
  }

  /** Asks it to close in good order and waits; kills it and says false when it has not by then. */
  async stop(ms: number): Promise<boolean> {
    this.askToStop()
    const { promise: late, resolve } = Promise.withResolvers<boolean>()
    const timer = setTimeout(() => resolve(false), ms)
    const inTime = await Promise.race([this.gone.then(() => true), late])
    clearTimeout(timer)
    if (!inTime) await this.kill()
    return inTime
  }

  #event(event: ChildEvent): PromiseWithResolvers<void> {
    const known = this.#events.get(event) ?? Promise.withResolvers<void>()
    this.#events.set(event, known)
    return known
  }
}
