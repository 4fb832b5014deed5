import { once } from 'node:events'
import { Items, turns } from './cell.ts'
import type { Cell } from './cell.ts'
import { openWay } from './ways/open.ts'
import type { WayName } from './ways/open.ts'
import type { Way } from './ways/way.ts'

/** What a child works at, as its one argument. */
export interface Task {
  readonly way: WayName
  readonly place: string
  readonly cell: Cell
}

/** What a turn took; CPU of the whole process, in microseconds. */
export interface Spent {
  readonly records: number
  readonly seconds: number
  readonly cpu: number
}

/** What a child may be asked to do, and what it answers: nothing, or the milliseconds of each record, where that is not told. */
export interface Answers {
  /** Gets ready for `send` and `consume`. */
  readonly warmUp: null
  /** A turn of sends with many in flight. */
  readonly send: Spent
  /** Reads all that was sent, as a new group. */
  readonly consume: Spent
  /** What the process took of memory at most, in MiB. */
  readonly peak: number
  /** Gets ready for `single` and whatever follows. */
  readonly warmUpSingly: null
  /** A turn of sends that are awaited one by one. */
  readonly single: readonly number[]
  /** Begins to read what is sent. */
  readonly follow: null
  /** A turn at the steady rate, whatever comes back when: what is late counts as late. From the send to the handler. */
  readonly steady: readonly number[]
  readonly end: null
}

/** Records of a warm-up, of those of a phase, and how often it is done: code is compiled anew for a second or two. */
const [warmUpShare, warmUps] = [0.4, 3]
/** How often as many single sends come before those that are measured: code of Sluice is compiled anew until about the 12 000th. */
const warmUpsOfSingles = 2
/** Seconds of the steady rate that come before what is measured. */
const warmUpSeconds = 2
/** What of a turn comes before its measured part, as a share of that. */
const lead = 0.2
/** Shows that a reader is at work. */
const knock = { id: 'knock', cents: 0, sentAt: 0, note: '' }

async function main({ way: name, place, cell }: Task): Promise<void> {
  const way = await openWay(name, place, cell)
  const items = new Items(cell)
  const bulk = new Bulk(way, items, cell)
  const follower = new Follower(way, items)
  const work: { [What in keyof Answers]: () => Promise<Answers[What]> } = {
    warmUp: () => bulk.warmUp(),
    send: () => bulk.send(),
    consume: () => bulk.consume(),
    peak: () => Promise.resolve(process.resourceUsage().maxRSS / 1024),
    warmUpSingly: () => warmUpSingly(way, items, cell),
    single: () => sendSingly(way, items, cell.singles / turns.times),
    follow: () => follow(follower, way, items, cell),
    steady: () => follower.turn((cell.perSecond * cell.seconds) / turns.times, cell.perSecond),
    end: () => follower.end(),
  }
  process.on('disconnect', () => process.exit())
  for (let what: keyof Answers | undefined; what !== 'end';) {
    ;[what] = (await once(process, 'message')) as [keyof Answers]
    const answer = await work[what]()
    if (what === 'end') await way.close()
    process.send?.(answer)
  }
  process.disconnect()
}

/** Sends with many in flight, and reads all of it again and again. */
class Bulk {
  readonly #way: Way
  readonly #items: Items
  readonly #cell: Cell
  #sent = 0
  #passes = 0

  constructor(way: Way, items: Items, cell: Cell) {
    this.#way = way
    this.#items = items
    this.#cell = cell
  }

  async warmUp(): Promise<null> {
    const { records, window } = this.#cell
    const some = Array.from({ length: Math.ceil(records * warmUpShare) }, (_, index) => this.#items.at(index))
    for (let times = 0; times < warmUps; times++) await this.#way.warmUp(some, window)
    return null
  }

  send(): Promise<Spent> {
    const from = this.#sent
    const count = Math.ceil(this.#cell.records / turns.pace)
    this.#sent += count
    return spent(count, () => this.#way.sendAll((index) => this.#items.at(from + index), count, this.#cell.window))
  }

  consume(): Promise<Spent> {
    return spent(this.#sent, () => this.#way.consume(`pass-${this.#passes++}`, this.#sent, () => undefined))
  }
}

/** Nothing is sent but singly, as where latency matters: what many under way at once leave behind in V8's heap is another story. */
async function warmUpSingly(way: Way, items: Items, cell: Cell): Promise<null> {
  for (let times = 0; times < warmUpsOfSingles; times++) await sendSingly(way, items, cell.singles)
  return null
}

async function follow(follower: Follower, way: Way, items: Items, cell: Cell): Promise<null> {
  await follower.start()
  for (let times = 0; times < warmUpsOfSingles; times++) await sendSingly(way, items, cell.singles)
  await follower.turn(cell.perSecond * warmUpSeconds, cell.perSecond)
  return null
}

async function spent(records: number, work: () => Promise<void>): Promise<Spent> {
  const before = process.cpuUsage()
  const started = performance.now()
  await work()
  const seconds = (performance.now() - started) / 1_000
  const { user, system } = process.cpuUsage(before)
  return { records, seconds, cpu: user + system }
}

async function sendSingly(way: Way, items: Items, count: number): Promise<readonly number[]> {
  const times: number[] = []
  const unmeasured = Math.ceil(count * lead)
  for (let index = 0; index < unmeasured + count; index++) {
    const started = performance.now()
    await way.send(items.at(index))
    times.push(performance.now() - started)
  }
  return times.slice(unmeasured)
}

/** Reads what it sends at a steady rate. */
class Follower {
  readonly #way: Way
  readonly #items: Items
  #stop: (() => Promise<void>) | undefined
  #onItem: (sentAt: number) => void = () => undefined

  constructor(way: Way, items: Items) {
    this.#way = way
    this.#items = items
  }

  /** Resolves when what is sent comes. */
  async start(): Promise<void> {
    const ready = Promise.withResolvers<void>()
    this.#stop = await this.#way.follow(({ value }) => {
      if (value.sentAt === 0) ready.resolve()
      else this.#onItem(value.sentAt)
    })
    const knocking = setInterval(() => void this.#way.send({ key: undefined, value: knock }).catch(ready.reject), 100)
    await ready.promise
    clearInterval(knocking)
  }

  async turn(count: number, perSecond: number): Promise<readonly number[]> {
    const all = Promise.withResolvers<void>()
    const unmeasured = Math.ceil(count * lead)
    const total = unmeasured + count
    const times: number[] = []
    const started = performance.now()
    this.#onItem = (sentAt) => {
      // A way that reads on from where it was brings first what was sent before.
      if (sentAt < started) return
      times.push(performance.now() - sentAt)
      if (times.length === total) all.resolve()
    }
    let sent = 0
    const ticking = setInterval(() => {
      const due = Math.min(total, Math.floor(((performance.now() - started) / 1_000) * perSecond))
      for (; sent < due; sent++) this.#way.send(this.#items.at(sent)).catch(all.reject)
      if (sent === total) clearInterval(ticking)
    }, 1)
    await all.promise
    return times.slice(unmeasured)
  }

  async end(): Promise<null> {
    await this.#stop?.()
    return null
  }
}

await main(JSON.parse(process.argv[2] ?? '') as Task)
