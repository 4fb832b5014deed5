import { connect } from '@sluice/core'
import type { CloseOptions, Cloud, ConnectOptions } from '@sluice/core'
import type { Driver, Random, TopicSpec } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import type { World } from './harness.ts'
import { Unmet } from './expect.ts'
import { addressOf, openHarness } from './open.ts'
import type { OpenDriverOptions } from './open.ts'
import { override } from './override.ts'
import { seededRandom, seedOf } from './random.ts'
import { RequestShim } from './shim/shim.ts'
import { Stalls } from './stalls.ts'

/** How long topics may take to be deleted, in milliseconds. */
const tidyMs = 60_000

/** What a machine with other work costs all the time says nothing. */
const noteworthyStallMs = 100

/** A connection together with the shim below it. */
export interface Shimmed {
  readonly cloud: Cloud
  readonly shim: RequestShim
  /** Ends this connection as a SIGKILL would: nothing is committed or sent any more, and its members are gone. */
  crash(): Promise<void>
  /** Whether it was. */
  dead(): boolean
}

/** What a case works with. Everything opened through it is closed when the case ends. */
export class CaseContext {
  readonly world: World
  /** Aborts when the case's deadline has passed. */
  readonly signal: AbortSignal
  /** Seeded by the case's name: the same numbers in every run. */
  readonly random: Random
  /** How long this process stood still while the case ran. */
  readonly stalls: Stalls = new Stalls()
  readonly #case: string
  readonly #cleanups: (() => Promise<void>)[] = []
  readonly #names: string[] = []
  readonly #shims: RequestShim[] = []

  constructor(world: World, name: string, signal: AbortSignal) {
    this.world = world
    this.signal = signal
    this.random = seededRandom(seedOf(name))
    this.#case = name.replaceAll(/[^a-z0-9]+/g, '-')
  }

  /** A name that nobody used, for topics, groups and members. */
  name(what = 't'): string {
    const unique = `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}`
    const name = `${what}-${this.#case.slice(0, 36)}-${this.#names.length}-${unique}`
    this.#names.push(name)
    return name
  }

  /** A connection to the backend, through a shim that does nothing until told to. */
  async connect(options: ConnectOptions = {}): Promise<Cloud> {
    return (await this.shimmed(options)).cloud
  }

  /** As `connect`, with the shim in hand, and by another address when one is given. */
  async shimmed(options: ConnectOptions = {}, url?: string): Promise<Shimmed> {
    const harness = url === undefined ? this.world.harness : { ...this.world.harness, url }
    const clock = options.clock ?? harness.connectOptions?.clock
    const real = await openHarness(harness, { signal: this.signal, ...(clock === undefined ? {} : { clock }) })
    const shim = new RequestShim(real)
    this.#shims.push(shim)
    let crashed = false
    const driver = harness.mutate === undefined ? shim.driver : harness.mutate(shim.driver)
    const connected = await connect(await addressOf(harness), {
      create: true,
      ...harness.connectOptions,
      ...options,
      driver,
    })
    const mutated = harness.mutateCloud === undefined ? connected : harness.mutateCloud(connected)
    // What a close said was told to the case that called it; asking again in the cleanup would tell it twice.
    let closed = false
    const close = (closeOptions?: CloseOptions): Promise<void> => {
      closed = true
      return mutated.close(closeOptions)
    }
    const cloud = override(mutated, { close })
    this.defer(async () => {
      if (crashed) {
        shim.bury()
        await connected.close({ timeoutMs: 200 }).catch(() => undefined)
        return real.close()
      }
      shim.clear()
      const closing = mutated.close({ timeoutMs: 2_000 })
      await (closed ? closing.catch(() => undefined) : closing)
    })
    const crash = async (): Promise<void> => {
      crashed = true
      await shim.crash()
    }
    return { cloud, shim, crash, dead: () => crashed }
  }

  /** A driver by itself, mutants included, for promises that core hides. */
  async openDriver(options: OpenDriverOptions = {}): Promise<Driver> {
    const real = await openHarness(this.world.harness, { signal: this.signal, ...options })
    const driver = this.world.harness.mutate?.(real) ?? real
    this.defer(() => driver.close())
    return driver
  }

  /** Makes a topic the way the harness wants it, and returns its name. */
  async createTopic(cloud: Cloud, spec: TopicSpec = {}): Promise<string> {
    const name = this.name()
    await cloud.admin.createTopic(name, this.spec(spec))
    return name
  }

  /** The harness's topic spec with changes. */
  spec(changes: TopicSpec = {}): TopicSpec {
    return { ...this.world.harness.topicSpec, ...changes }
  }

  /** Runs when the case ends, last deferred first. */
  defer(cleanup: () => Promise<unknown>): void {
    this.#cleanups.push(async () => void (await cleanup()))
  }

  /** Waits until `check` no longer throws. At the deadline it is what `check` last said. */
  eventually<T>(check: () => T | Promise<T>, deadlineMs: number = this.world.tuning.patienceMs): Promise<T> {
    return eventually(() => {
      this.signal.throwIfAborted()
      return check()
    }, deadlineMs)
  }

  /** Waits for extras: the time in which a delivery too many would show itself. */
  settleWindow(ms: number = this.world.tuning.settleMs): Promise<void> {
    return this.pause(ms)
  }

  /** Real time goes by. Only for promises about time. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms))
  }

  /** What the promise resolves to; unmet when it takes longer. */
  async within<T>(promise: Promise<T>, ms: number, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Unmet(`${what}: not done within ${ms} ms`)), ms)
    })
    try {
      return await Promise.race([promise, late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Deletes the topics that the case made, by whatever connection. */
  async tidy(): Promise<void> {
    const driver = await openHarness(this.world.harness, { signal: AbortSignal.timeout(tidyMs) })
    try {
      const signal = AbortSignal.timeout(tidyMs)
      const topics = await driver.admin.listTopics(signal)
      const ours = topics.filter((topic) => this.#names.some((name) => topic === name || topic.startsWith(`${name}.`)))
      await Promise.all(ours.map((topic) => driver.admin.deleteTopic(topic, signal)))
    } finally {
      await driver.close()
    }
  }

  /** How many members of a queue's group had an answer when they asked for records. */
  membersAnswered(group: string): number {
    const pulls = this.#shims.flatMap((shim) => shim.callsOf({ operation: 'pull', group }))
    return new Set(
      pulls.filter((call) => call.endedAtMs !== undefined && call.error === undefined).map(({ member }) => member),
    ).size
  }

  /** What may explain a failure that does not come again: a process that stood still, and partitions that members lost. */
  circumstances(): readonly string[] {
    const stoodMs = Math.round(this.stalls.longest())
    const lost = this.#shims.flatMap(({ events }) => events).filter(({ kind }) => kind === 'lost')
    return [
      ...(stoodMs < noteworthyStallMs ? [] : [`this process stood still for ${stoodMs} ms`]),
      ...lost.map(
        (event) => `${event.member} lost ${event.partitions.join(', ')}: ${event.error?.message ?? 'no reason'}`,
      ),
    ]
  }

  /** Closes everything; returns what could not be closed. Called by the runner. */
  async dispose(): Promise<readonly string[]> {
    this.stalls.stop()
    const troubles: string[] = []
    for (const cleanup of this.#cleanups.splice(0).toReversed()) {
      await this.within(cleanup(), 6_000, 'closing').catch((error: unknown) => {
        troubles.push(error instanceof Error ? error.message : String(error))
      })
    }
    return troubles
  }
}
