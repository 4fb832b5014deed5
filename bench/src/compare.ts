import { Calm } from './calm.ts'
import { nameOf, sizeName, turns } from './cell.ts'
import type { Cell } from './cell.ts'
import type { Answers, Spent } from './child.ts'
import { Folder } from './folder.ts'
import { median, percentile, ratioOf, table } from './measure.ts'
import { Worker } from './worker.ts'
import type { WayName } from './ways/open.ts'

type Phase = 'send' | 'consume'

/** Sluice on one backend, and the same work by hand. */
export interface Contest {
  /** A way by hand, or Sluice otherwise, and what it is called. The first is the one that ratios are to. */
  readonly byHand: readonly Rival[]
  readonly cells: readonly Cell[]
  readonly rounds: number
  readonly what: 'pace' | 'times'
  /** A place that nobody has worked at yet, given an empty folder. */
  readonly place: (way: WayName, folder: string) => Promise<Place>
}

/** Where a way works. */
export interface Place extends AsyncDisposable {
  readonly address: string
}

interface Rival {
  readonly way: WayName
  readonly name: string
  /** Goes behind the address. */
  readonly options?: string
  readonly when?: (cell: Cell) => boolean
  /** The share of the records it is given, where it is slow. */
  readonly share?: number
  /** What it is looked at for. Default: both. */
  readonly phase?: Phase
  /** Whether its ratios are told too. */
  readonly ratio?: boolean
}

/** What came of a cell: for each way the figures of all rounds. */
export interface CellResult {
  readonly cell: Cell
  readonly ours: readonly Figures[]
  readonly others: readonly (Rival & { readonly figures: readonly Figures[] })[]
}

/** Rates per second, CPU of the whole process in microseconds per record, and its memory at most. */
interface Pace {
  readonly send: number
  readonly sendCpu: number
  readonly consume: number
  readonly consumeCpu: number
  readonly peakMiB: number
}

/** Milliseconds of each record of each turn. */
interface Times {
  readonly singles: readonly (readonly number[])[]
  readonly latencies: readonly (readonly number[])[]
}

/** What came of a round. */
type Figures = Pace & Times

/**
 * A process whose young generation has grown collects its whole heap after every 8 MB of buffers, sooner or later by chance,
 * and then that is what the p99 of large records is made of: "A large young generation" in docs/performance.md.
 */
const smallYoungGeneration = ['--max-semi-space-size=1']

const ourselves: Rival = { way: 'sluice', name: 'Sluice' }
const noTimes: Times = { singles: [], latencies: [] }
const noPace: Pace = { send: NaN, sendCpu: NaN, consume: NaN, consumeCpu: NaN, peakMiB: NaN }

/** Every way on every cell, each in a process of its own; the processes of a cell take turns. */
export async function compare(contest: Contest, tell: (line: string) => void): Promise<readonly CellResult[]> {
  const results: CellResult[] = []
  for (const cell of contest.cells) {
    const rivals = contest.byHand.filter(({ when }) => when?.(cell) ?? true)
    const sluice = { ...ourselves, figures: [] as Figures[] }
    const others = rivals.map((rival) => ({ ...rival, figures: [] as Figures[] }))
    const entrants = [sluice, ...others]
    const timed = entrants.filter(({ phase }) => phase === undefined)
    for (let round = 0; round < contest.rounds; round++)
      if (contest.what === 'pace')
        for (const [{ figures }, pace] of await twice(() => pacesOf(entrants, cell, contest), tell))
          figures.push({ ...pace, ...noTimes })
      else
        for (const [{ figures }, times] of await twice(() => timesOf(timed, cell, contest, tell), tell))
          figures.push({ ...noPace, ...times })
    const last = { cell, ours: sluice.figures, others }
    results.push(last)
    tell(`${nameOf(cell)}: ${contest.what === 'pace' ? toldPace(last) : toldTimes(last)}`)
  }
  return results
}

function toldPace(result: CellResult): string {
  const told = (['send', 'consume'] as const).map(
    (phase) => `${phase} ${rateOf(result.ours, phase)} k/s, ${rateRatio(result, phase)}`,
  )
  return told.join('; ')
}

function toldTimes(result: CellResult): string {
  const told = (['singles', 'latencies'] as const).map(
    (what) => `p99 of ${what} ${p99Ratio(result, what, p99s)}, of a turn ${p99Ratio(result, what, p99sOfTurns)}`,
  )
  return told.join('; ')
}

/** What fails is told, and tried once more: an hour of figures is not thrown away for it. */
async function twice<T>(work: () => Promise<T>, tell: (line: string) => void): Promise<T> {
  try {
    return await work()
  } catch (error) {
    tell(`${String(error)}; once more`)
    return work()
  }
}

/** All of them, each at a place of its own. What was sent is read once before it is read for the clock. */
async function pacesOf<R extends Rival>(
  rivals: readonly R[],
  cell: Cell,
  contest: Contest,
): Promise<ReadonlyMap<R, Pace>> {
  await using stack = new AsyncDisposableStack()
  const workers = new Map<R, Worker>()
  for (const rival of rivals) {
    const records = Math.ceil(cell.records * (rival.share ?? 1))
    workers.set(rival, await begin(rival, { ...cell, records }, contest, stack))
  }
  for (const worker of workers.values()) await worker.ask('warmUp')
  const sent = await inTurns(workers, turns.pace, 'send')
  const readers = new Map([...workers].filter(([{ phase }]) => phase !== 'send'))
  await inTurns(readers, 1, 'consume')
  const read = await inTurns(readers, turns.pace, 'consume')
  const paces = new Map<R, Pace>()
  for (const [rival, worker] of workers) {
    const [send, sendCpu] = rateAndCpu(sent.get(rival) ?? [])
    const [consume, consumeCpu] = rateAndCpu(read.get(rival) ?? [])
    paces.set(rival, { send, sendCpu, consume, consumeCpu, peakMiB: await worker.ask('peak') })
    await worker.ask('end')
  }
  return paces
}

/** Records per second, and CPU in microseconds per record. */
function rateAndCpu(spent: readonly Spent[]): readonly [number, number] {
  const sum = (what: keyof Spent): number => spent.reduce((total, one) => total + one[what], 0)
  return [sum('records') / sum('seconds'), sum('cpu') / sum('records')]
}

/** All of them, each at a place of its own. */
async function timesOf<R extends Rival>(
  rivals: readonly R[],
  cell: Cell,
  contest: Contest,
  tell: (line: string) => void,
): Promise<ReadonlyMap<R, Times>> {
  await using stack = new AsyncDisposableStack()
  const workers = new Map<R, Worker>()
  for (const rival of rivals) workers.set(rival, await begin(rival, cell, contest, stack))
  for (const worker of workers.values()) await worker.ask('warmUpSingly')
  const calm = new Calm(turns.times * turns.spare * workers.size)
  const singles = await inTurns(workers, turns.times, 'single', (work) => calm.turn(work))
  for (const worker of workers.values()) await worker.ask('follow')
  const latencies = await inTurns(workers, turns.times, 'steady', (work) => calm.turn(work))
  for (const worker of workers.values()) await worker.ask('end')
  tell(`${nameOf(cell)}: ${String(calm)}`)
  return new Map(rivals.map((one) => [one, { singles: singles.get(one) ?? [], latencies: latencies.get(one) ?? [] }]))
}

async function inTurns<R, What extends 'send' | 'consume' | 'single' | 'steady'>(
  workers: ReadonlyMap<R, Worker>,
  count: number,
  what: What,
  take: (work: () => Promise<Answers[What]>) => Promise<Answers[What]> = (work) => work(),
): Promise<ReadonlyMap<R, readonly Answers[What][]>> {
  const answers = new Map([...workers.keys()].map((rival): [R, Answers[What][]] => [rival, []]))
  for (let turn = 0; turn < count; turn++)
    for (const [rival, worker] of workers) answers.get(rival)?.push(await take(() => worker.ask(what)))
  return answers
}

/** It and its place go with the stack. */
async function begin(
  { way, options = '' }: Rival,
  cell: Cell,
  contest: Contest,
  stack: AsyncDisposableStack,
): Promise<Worker> {
  const folder = stack.use(new Folder())
  const place = stack.use(await contest.place(way, folder.path))
  const v8 = contest.what === 'times' ? smallYoungGeneration : []
  return stack.use(new Worker({ way, cell, place: `${place.address}${options}` }, v8))
}

function rateRatio({ ours, others }: CellResult, phase: Phase, of: readonly Figures[] = ours): string {
  if (of.length === 0) return ''
  return ratioOf(
    of.map((one) => one[phase]),
    (others[0]?.figures ?? []).map((one) => one[phase]),
  )
}

/** Rates, with the ratio of ours to the first by hand, and of the others whose ratio is told. */
export function ratesTable(results: readonly CellResult[], phase: Phase): string {
  const names = namesOf(results, phase)
  const told = [...new Set(results.flatMap(({ others }) => others.filter(isToldOf(phase)).map(({ name }) => name)))]
  const rows = results.map((result) => [
    nameOf(result.cell),
    rateOf(result.ours, phase),
    ...names.map((name) => rateOf(figuresOf(result.others, name), phase)),
    rateRatio(result, phase),
    ...told.map((name) => rateRatio(result, phase, figuresOf(result.others, name))),
  ])
  const heads = ['k records/s', 'Sluice', ...names, `ratio to ${names[0] ?? ''}`]
  return table([...heads, ...told.map((name) => `ratio of ${name}`)], rows)
}

function isToldOf(phase: Phase): (rival: Rival) => boolean {
  return (rival) => rival.ratio === true && (rival.phase ?? phase) === phase
}

/** CPU and memory of the whole process. */
export function costsTable(results: readonly CellResult[]): string {
  const names = ['Sluice', ...namesOf(results)]
  const rows = results.map(({ cell, ours, others }) => [
    nameOf(cell),
    ...names.map((name) => {
      const figures = name === 'Sluice' ? ours : figuresOf(others, name)
      if (figures.length === 0) return ''
      const of = (what: 'sendCpu' | 'consumeCpu' | 'peakMiB'): number => median(figures.map((one) => one[what]))
      const cpu = (phase: Phase): string =>
        name === 'Sluice' || namesOf(results, phase).includes(name) ? of(`${phase}Cpu`).toFixed(1) : '–'
      return `${cpu('send')} / ${cpu('consume')} µs, ${of('peakMiB').toFixed(0)} MiB`
    }),
  ])
  return table(['CPU per record: send / consume; peak memory', ...names], rows)
}

/** Percentiles in milliseconds: the median of the rounds' own, and the ratios of the p99 of a round and of a turn. */
export function timesTable(results: readonly CellResult[], what: 'singles' | 'latencies'): string {
  const isTimed = (name: string): boolean =>
    results.some(({ others }) => figuresOf(others, name).some((one) => one[what].length > 0))
  const names = namesOf(results).filter(isTimed)
  const shares = what === 'singles' ? [0.5, 0.99] : [0.5, 0.99, 0.999]
  const show = (figures: readonly Figures[]): string =>
    shares.map((share) => median(figures.map((one) => percentile(one[what].flat(), share))).toFixed(2)).join(' / ')
  const rows = results.map((result) => [
    what === 'latencies' ? `${nameOf(result.cell)}, ${result.cell.perSecond}/s` : nameOf(result.cell),
    show(result.ours),
    ...names.map((name) => show(figuresOf(result.others, name))),
    p99Ratio(result, what, p99s),
    p99Ratio(result, what, p99sOfTurns),
  ])
  const heads = shares.map((share) => `p${share * 100}`).join(' / ')
  return table([`ms: ${heads}`, 'Sluice', ...names, `p99 to ${names[0] ?? ''}`, 'of a turn'], rows)
}

function p99Ratio({ ours, others }: CellResult, what: keyof Times, of: typeof p99s): string {
  return ratioOf(of(ours, what), of(others[0]?.figures ?? [], what))
}

/** Of each round, that of all its turns together. */
function p99s(figures: readonly Figures[], what: keyof Times): readonly number[] {
  return figures.map((one) => percentile(one[what].flat(), 0.99))
}

/** Of each round, that of a turn in the middle: what a few turns met is not in it. */
function p99sOfTurns(figures: readonly Figures[], what: keyof Times): readonly number[] {
  return figures.map((one) => median(one[what].map((turn) => percentile(turn, 0.99))))
}

/** What 10 000 keys cost beside 16, for each size. */
export function keysTable(results: readonly CellResult[]): string {
  const many = results.filter(({ cell }) => cell.keys === 10_000)
  const rows = many.flatMap(({ cell, ours }) => {
    const few = results.find((other) => other.cell.bytes === cell.bytes && other.cell.keys === 16)
    if (few === undefined) return []
    const cost = (phase: Phase): string =>
      ratioOf(
        few.ours.map((one) => one[phase]),
        ours.map((one) => one[phase]),
      )
    return [[sizeName(cell.bytes), cost('send'), cost('consume')]]
  })
  return table(['10 000 keys to 16 keys, time per record', 'send', 'consume'], rows)
}

/** The others, of a phase where one is given. */
function namesOf(results: readonly CellResult[], phase?: Phase): readonly string[] {
  const all = results.flatMap(({ others }) => others)
  const rivals = all.filter((rival) => phase === undefined || (rival.phase ?? phase) === phase)
  return [...new Set(rivals.map(({ name }) => name))]
}

function figuresOf(others: CellResult['others'], name: string): readonly Figures[] {
  return others.find((other) => other.name === name)?.figures ?? []
}

function rateOf(figures: readonly Figures[], phase: Phase): string {
  if (figures.length === 0) return ''
  return (median(figures.map((one) => one[phase])) / 1000).toFixed(1)
}
