import { Items } from './cell.ts'
import type { Cell } from './cell.ts'
import { openWay } from './ways/open.ts'
import type { WayName } from './ways/open.ts'
import type { Way } from './ways/way.ts'

/** What a child is asked to do, as its one argument. */
export interface Task {
  readonly part: keyof Parts
  readonly way: WayName
  readonly place: string
  readonly cell: Cell
}

/** Rates per second, CPU of the whole process in microseconds per record, and its memory at most. */
interface Pace {
  readonly send: number
  readonly sendCpu: number
  readonly consume: number
  readonly consumeCpu: number
  readonly peakMiB: number
}

/** Milliseconds of each record. */
interface Times {
  readonly singles: readonly number[]
  readonly latencies: readonly number[]
}

/** What a process measures: how much goes through, or how long single records take. */
export interface Parts {
  readonly pace: Pace
  readonly times: Times
}

/** What came of a cell. */
export type Figures = Pace & Times

/** Records of a warm-up, of those of a phase, and how often it is done: code is compiled anew for a second or two. */
const [warmUpShare, warmUps] = [0.6, 3]
/** How often a log is read, each time by a new group; the first time is not measured. */
const passes = 4
/** How often as many single sends come before those that are measured: code of Sluice is compiled anew until about the 12 000th. */
const warmUpsOfSingles = 2
/** Seconds of the steady rate that come before those which are measured. */
const warmUpSeconds = 2
/** Shows that a reader is at work. */
const knock = { id: 'knock', cents: 0, sentAt: 0, note: '' }

/** One part of one way on one cell, in a process of its own: its memory, what of it has grown old, and its compiled code are its own too. */
async function main(task: Task): Promise<Pace | Times> {
  const { cell } = task
  const way = await openWay(task.way, task.place, cell)
  const items = new Items(cell)
  const figures = task.part === 'pace' ? await pace(way, items, cell) : await times(way, items, cell)
  await way.close()
  return figures
}

async function pace(way: Way, items: Items, cell: Cell): Promise<Pace> {
  const few = Math.ceil(cell.records * warmUpShare)
  const warmUp = Array.from({ length: few }, (_, index) => items.at(index))
  for (let times = 0; times < warmUps; times++) await way.warmUp(warmUp, cell.window)
  const [send, sendCpu] = await measured(cell.records, () =>
    way.sendAll((index) => items.at(index), cell.records, cell.window),
  )
  await way.consume('pass-1', cell.records, () => undefined)
  const [consume, consumeCpu] = await measured(cell.records * (passes - 1), async () => {
    for (let pass = 2; pass <= passes; pass++) await way.consume(`pass-${pass}`, cell.records, () => undefined)
  })
  const { maxRSS } = process.resourceUsage()
  return { send, sendCpu, consume, consumeCpu, peakMiB: maxRSS / 1024 }
}

/** Nothing is sent but singly, as where latency matters: what many under way at once leave behind in V8's heap is another story. */
async function times(way: Way, items: Items, cell: Cell): Promise<Times> {
  for (let times = 0; times < warmUpsOfSingles; times++) await sendSingly(way, items, cell)
  const singles = await sendSingly(way, items, cell)
  return { singles, latencies: await endToEnd(way, items, cell) }
}

/** Records per second, and CPU in microseconds per record. */
async function measured(records: number, work: () => Promise<void>): Promise<readonly [number, number]> {
  const cpu = process.cpuUsage()
  const started = performance.now()
  await work()
  const seconds = (performance.now() - started) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  return [records / seconds, (user + system) / records]
}

async function sendSingly(way: Way, items: Items, cell: Cell): Promise<readonly number[]> {
  const times: number[] = []
  for (let index = 0; index < cell.singles; index++) {
    const started = performance.now()
    await way.send(items.at(index))
    times.push(performance.now() - started)
  }
  return times
}

/** Sends at a steady rate, whatever comes back when; what is late counts as late. Times from the send to the handler. */
async function endToEnd(way: Way, items: Items, cell: Cell): Promise<readonly number[]> {
  const unmeasured = cell.perSecond * warmUpSeconds
  const total = cell.perSecond * cell.seconds + unmeasured
  const times: number[] = []
  const ready = Promise.withResolvers<void>()
  const all = Promise.withResolvers<void>()
  let started = Infinity
  const stop = await way.follow(({ value }) => {
    if (value.sentAt === 0) return ready.resolve()
    // A way that reads on from where it was brings first what was sent before.
    if (value.sentAt < started) return
    times.push(performance.now() - value.sentAt)
    if (times.length === total) all.resolve()
  })
  const knocking = setInterval(() => void way.send({ key: undefined, value: knock }).catch(ready.reject), 100)
  await ready.promise
  clearInterval(knocking)
  await sendSingly(way, items, cell)
  started = performance.now()
  let sent = 0
  const ticking = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - started) / 1_000) * cell.perSecond))
    for (; sent < due; sent++) way.send(items.at(sent)).catch(all.reject)
    if (sent === total) clearInterval(ticking)
  }, 1)
  await all.promise
  await stop()
  return times.slice(unmeasured)
}

const figures = JSON.stringify(await main(JSON.parse(process.argv[2] ?? '') as Task))
// An exit before it is written would cut it off.
process.stdout.write(figures, () => process.exit(0))
