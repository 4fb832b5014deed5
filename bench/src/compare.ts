import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { sizeName } from './cell.ts'
import type { Cell } from './cell.ts'
import type { Figures, Parts, Task } from './child.ts'
import { inFolder } from './folder.ts'
import { median, percentile, ratioOf, table } from './measure.ts'
import type { WayName } from './ways/open.ts'

type Phase = 'send' | 'consume'

/** Sluice on one backend, and the same work by hand. */
export interface Contest {
  /** A way by hand, or Sluice otherwise, and what it is called. The first is the one that ratios are to. */
  readonly byHand: readonly Rival[]
  readonly cells: readonly Cell[]
  readonly rounds: number
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
  readonly when?: (cell: Cell) => boolean
  /** The share of the records it is given, where it is slow. */
  readonly share?: number
  /** Goes behind the address. */
  readonly options?: string
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

/** Every way on every cell, in turn, each in a process of its own. */
export async function compare(contest: Contest, tell: (line: string) => void): Promise<readonly CellResult[]> {
  const results: CellResult[] = []
  for (const cell of contest.cells) {
    const rivals = contest.byHand.filter(({ when }) => when?.(cell) ?? true)
    const ours: Figures[] = []
    const others = rivals.map((rival) => ({ ...rival, figures: [] as Figures[] }))
    for (let round = 0; round < contest.rounds; round++) {
      for (const { figures, share = 1, ...rival } of others) {
        const records = Math.ceil(cell.records * share)
        figures.push(await once(rival, { ...cell, records }, contest, tell))
      }
      ours.push(await once({ way: 'sluice' }, cell, contest, tell))
    }
    const last = { cell, ours, others }
    results.push(last)
    const told = (['send', 'consume'] as const).map(
      (phase) => `${phase} ${rateOf(ours, phase)} k/s, ${rateRatio(last, phase)}`,
    )
    tell(`${nameOf(cell)}: ${told.join('; ')}`)
  }
  return results
}

async function once(
  rival: Pick<Rival, 'way' | 'options' | 'phase'>,
  cell: Cell,
  contest: Contest,
  tell: (line: string) => void,
): Promise<Figures> {
  const pace = await measure('pace', rival, cell, contest, tell)
  const isTimed = cell.seconds > 0 && rival.phase === undefined
  const times = isTimed ? await measure('times', rival, cell, contest, tell) : noTimes
  return { ...pace, ...times }
}

const noTimes: Parts['times'] = { singles: [], latencies: [] }

/** What fails is told, and tried once more: an hour of figures is not thrown away for it. */
async function measure<Part extends keyof Parts>(
  part: Part,
  { way, options = '' }: Pick<Rival, 'way' | 'options'>,
  cell: Cell,
  contest: Contest,
  tell: (line: string) => void,
): Promise<Parts[Part]> {
  const attempt = (): Promise<Parts[Part]> =>
    inFolder(async (folder) => {
      await using place = await contest.place(way, folder)
      return await child({ part, way, cell, place: `${place.address}${options}` })
    })
  try {
    return await attempt()
  } catch (error) {
    tell(`${String(error)}; once more`)
    return attempt()
  }
}

function child<Part extends keyof Parts>(task: Task & { readonly part: Part }): Promise<Parts[Part]> {
  const program = fileURLToPath(new URL('./child.ts', import.meta.url))
  const args = ['--conditions=@sluice/source', '--disable-warning=ExperimentalWarning', program, JSON.stringify(task)]
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    running.stdout.on('data', (data: Buffer) => (output += data.toString()))
    running.once('error', reject)
    running.once('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as Parts[Part])
      else reject(new Error(`${task.way} on ${nameOf(task.cell)} ended with ${code}`))
    })
  })
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
      const send = namesOf(results, 'send').includes(name) || name === 'Sluice' ? of('sendCpu').toFixed(1) : '–'
      return `${send} / ${of('consumeCpu').toFixed(1)} µs, ${of('peakMiB').toFixed(0)} MiB`
    }),
  ])
  return table(['CPU per record: send / consume; peak memory', ...names], rows)
}

/** Percentiles in milliseconds: the median of the rounds' own, and the ratio of the p99. */
export function timesTable(results: readonly CellResult[], what: 'singles' | 'latencies'): string {
  const isTimed = (name: string): boolean =>
    results.some(({ others }) => figuresOf(others, name).some((one) => one[what].length > 0))
  const names = namesOf(results).filter(isTimed)
  const shares = what === 'singles' ? [0.5, 0.99] : [0.5, 0.99, 0.999]
  const show = (figures: readonly Figures[]): string =>
    shares.map((share) => median(figures.map((one) => percentile(one[what], share))).toFixed(2)).join(' / ')
  const p99 = (figures: readonly Figures[]): readonly number[] => figures.map((one) => percentile(one[what], 0.99))
  const rows = results
    .filter(({ cell }) => cell.seconds > 0)
    .map(({ cell, ours, others }) => [
      what === 'latencies' ? `${nameOf(cell)}, ${cell.perSecond}/s` : nameOf(cell),
      show(ours),
      ...names.map((name) => (figuresOf(others, name).length === 0 ? '' : show(figuresOf(others, name)))),
      ratioOf(p99(ours), p99(others[0]?.figures ?? [])),
    ])
  const heads = shares.map((share) => `p${share * 100}`).join(' / ')
  return table([`ms: ${heads}`, 'Sluice', ...names, `p99 to ${names[0] ?? ''}`], rows)
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

function nameOf(cell: Cell): string {
  const keys = cell.keys === 0 ? 'no order' : cell.keys === 1 ? '1 key' : `${cell.keys} keys`
  return `${sizeName(cell.bytes)}, ${keys}`
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
