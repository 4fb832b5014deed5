import type { Random } from '@sluice/driver'
import type { Saboteur } from '../crash/round.ts'
import { between, seededRandom } from '../random.ts'
import type { TcpProxy } from './tcp-proxy.ts'

interface Fault {
  readonly name: string
  readonly run: (random: Random, pause: (ms: number) => Promise<void>) => Promise<void>
}

/** Cuts, delays, refuses and kills at random, one fault at a time with calm between them. */
export class ProxySaboteur implements Saboteur {
  readonly #proxy: TcpProxy
  readonly #faults: readonly Fault[]
  readonly #counts = new Map<string, number>()
  #stop = Promise.withResolvers<void>()
  #stopped = true
  #working: Promise<void> = Promise.resolve()
  readonly #spares: boolean
  #spared: Promise<unknown> = Promise.resolve()

  /**
   * `restart` kills the server behind the proxy and starts it again; `spares`: not while a topic is changed, because the server loses
   * a topic whose description it is writing when it is killed.
   */
  constructor(proxy: TcpProxy, restart: (() => Promise<void>) | undefined, spares = false) {
    this.#proxy = proxy
    this.#spares = spares
    this.#faults = [
      { name: 'cut', run: async () => proxy.cut() },
      { name: 'dead connection', run: async () => proxy.halfOpen() },
      { name: 'away', run: (random, pause) => this.#away(between(random, 200, 6_000), pause) },
      { name: 'slow', run: (random, pause) => this.#slow(between(random, 20, 400), pause) },
      { name: 'reset', run: (random, pause) => this.#reset(between(random, 1_000, 200_000), pause) },
      ...(restart === undefined ? [] : [{ name: 'server killed', run: () => this.#spared.then(restart) }]),
    ]
  }

  start(seed: number): void {
    this.#counts.clear()
    this.#stopped = false
    this.#stop = Promise.withResolvers<void>()
    this.#working = this.#work(seededRandom(seed ^ 0x5a5a5a5a))
  }

  sparing<T>(work: () => Promise<T>): Promise<T> {
    const working = work()
    if (this.#spares) this.#spared = working.catch(() => undefined)
    return working
  }

  async stop(): Promise<string> {
    this.#stopped = true
    this.#stop.resolve()
    await this.#working
    await this.#proxy.heal()
    return [...this.#counts].map(([name, count]) => `${name} ${count} x`).join(', ')
  }

  async #work(random: Random): Promise<void> {
    const pause = async (ms: number): Promise<void> => {
      let timer: NodeJS.Timeout | undefined
      const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))
      await Promise.race([over, this.#stop.promise])
      clearTimeout(timer)
    }
    for (;;) {
      await pause(between(random, 300, 2_500))
      const fault = this.#faults[between(random, 0, this.#faults.length - 1)]
      if (this.#stopped || fault === undefined) return
      this.#counts.set(fault.name, (this.#counts.get(fault.name) ?? 0) + 1)
      await fault.run(random, pause)
    }
  }

  async #away(ms: number, pause: (ms: number) => Promise<void>): Promise<void> {
    await this.#proxy.refuse()
    await pause(ms)
    await this.#proxy.accept()
  }

  async #slow(latencyMs: number, pause: (ms: number) => Promise<void>): Promise<void> {
    this.#proxy.latency(latencyMs)
    await pause(2_000)
    this.#proxy.latency(0)
  }

  async #reset(bytes: number, pause: (ms: number) => Promise<void>): Promise<void> {
    this.#proxy.resetAfter(bytes)
    await pause(1_000)
    this.#proxy.resetAfter(Infinity)
  }
}
