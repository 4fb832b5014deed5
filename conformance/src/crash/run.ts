import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CrashArguments } from './arguments.ts'
import { Crew } from './crew.ts'
import { groupBy } from './history.ts'
import { planRound } from './plan.ts'
import type { RoundPlan } from './plan.ts'
import { playRound } from './round.ts'
import type { RoundResult, Saboteur } from './round.ts'

/** What makes a soak of a run. */
export interface Soak {
  /** No round begins after this moment of the monotonic clock. */
  readonly endMs: number
  readonly planOf: (seed: number) => RoundPlan
  /** The way to the backend that the saboteur makes fail. */
  readonly childAddress: string | undefined
  readonly saboteur: Saboteur | undefined
}

/** What a run works with. */
export interface RunContext {
  readonly soak?: Soak
  readonly print: (line: string) => void
  /** For the children. */
  readonly environment: NodeJS.ProcessEnv
  /** Called, before there is any child, with what ends them all at once and removes what need not be kept. */
  readonly onStart: (leave: () => void) => void
}

interface Totals {
  passed: number
  failed: number
  kills: number
  sent: number
  acked: number
  handled: number
  duplicates: number
  bound: number
}

const reserve = 2
const shownOfRule = 3

/** Plays all rounds, tells of each, and resolves with how many failed. Leaves no process, and only the folders it should. */
export async function runRounds(args: CrashArguments, context: RunContext): Promise<number> {
  const { print } = context
  const started = performance.now()
  const root = mkdtempSync(join(tmpdir(), 'sluice-crash-'))
  const crew = new Crew({ ...context.environment, NODE_OPTIONS: '', NODE_COMPILE_CACHE: join(root, 'compiled') })
  const totals: Totals = { passed: 0, failed: 0, kills: 0, sent: 0, acked: 0, handled: 0, duplicates: 0, bound: 0 }
  context.onStart(() => {
    crew.dismiss()
    tidy(root, args.keep || totals.failed > 0)
  })
  print(
    `seed ${args.seed}, ${context.soak === undefined ? `${args.rounds} rounds` : 'a soak'} on ${args.backend ?? 'local, a folder for each round'}${args.bug === undefined ? '' : `, with the bug ${args.bug}`}`,
  )
  try {
    const { soak } = context
    for (let index = 0; index < args.rounds && performance.now() < (soak?.endMs ?? Infinity); index++) {
      crew.prepare(reserve)
      await oneRound(args, index, { crew, root, totals, print, soak })
    }
  } finally {
    await crew.close()
    tidy(root, args.keep || totals.failed > 0)
  }
  const seconds = ((performance.now() - started) / 1_000).toFixed(1)
  print(
    `${totals.kills} kills, ${totals.sent} sent, ${totals.acked} acked, ${totals.handled} handled, ${totals.duplicates}/${totals.bound} duplicates, ${seconds} s`,
  )
  print(`${totals.passed} passed, ${totals.failed} failed`)
  return totals.failed
}

/** Removes everything, or only what is of no use to anybody. */
function tidy(root: string, keep: boolean): void {
  rmSync(keep ? join(root, 'compiled') : root, { recursive: true, force: true, maxRetries: 3 })
}

interface Stage {
  readonly crew: Crew
  readonly root: string
  readonly totals: Totals
  readonly print: (line: string) => void
  readonly soak: Soak | undefined
}

async function oneRound(args: CrashArguments, index: number, stage: Stage): Promise<void> {
  const { crew, print, root, soak, totals } = stage
  const seed = (args.seed + index) % 4_294_967_296
  const plan = soak === undefined ? planRound(seed, args.mode) : soak.planOf(seed)
  const folder = join(root, `round-${plan.seed}`)
  mkdirSync(folder, { recursive: true })
  const name = `crash-${Date.now().toString(36)}-${plan.seed}`
  const address = args.backend ?? `local:${join(folder, 'log')}`
  const scene = {
    plan,
    crew,
    address,
    childAddress: soak?.childAddress ?? address,
    folder,
    topic: name,
    outputs: `${name}.outputs`,
    bug: args.bug,
  }
  const started = performance.now()
  const result = await playRound(scene, soak?.saboteur).catch(broken)
  const tookMs = Math.round(performance.now() - started)
  add(totals, result)
  print(roundLine(index + 1, plan, result, tookMs))
  if (result.faults !== undefined) print(`  ${result.faults}`)
  for (const line of problemLines(result.problems)) print(`  ${line}`)
  if (result.problems.length > 0) print(`  kept in ${folder}; again: npm run crash -- ${again(args, plan)}`)
  else if (!args.keep) rmSync(folder, { recursive: true, force: true })
}

/** The first problems of each rule, and how many more there are; errors without the end of their stack. */
function problemLines(problems: readonly string[]): readonly string[] {
  return [...groupBy(problems, (problem) => problem.split(':', 1)[0])].flatMap(([rule, found]) => {
    const more = found.length - shownOfRule
    const shown = found.slice(0, shownOfRule).map((problem) => problem.split('\n').slice(0, 8).join('\n  '))
    return more > 0 ? [...shown, `${rule}: and ${more} more`] : shown
  })
}

/** A round that could not be played counts as failed; the rounds after it are played. */
function broken(error: unknown): RoundResult {
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { kills: 0, sent: 0, acked: 0, handled: 0, duplicates: 0, bound: 0, problems: [`broken: ${why}`] }
}

function add(totals: Totals, result: RoundResult): void {
  if (result.problems.length === 0) totals.passed++
  else totals.failed++
  totals.kills += result.kills
  totals.sent += result.sent
  totals.acked += result.acked
  totals.handled += result.handled
  totals.duplicates += result.duplicates
  totals.bound += result.bound
}

function roundLine(number: number, plan: RoundPlan, result: RoundResult, tookMs: number): string {
  const { acked, bound, duplicates, handled, kills, problems, sent } = result
  const verdict = problems.length === 0 ? 'ok' : 'FAILED'
  return `round ${number} seed ${plan.seed} ${plan.mode}: ${verdict}, ${kills} kills, ${sent} sent, ${acked} acked, ${handled} handled, ${duplicates}/${bound} duplicates, ${tookMs} ms`
}

function again(args: CrashArguments, plan: RoundPlan): string {
  const backend = args.backend === undefined ? '' : ` --backend ${args.backend}`
  const bug = args.bug === undefined ? '' : ` --bug ${args.bug}`
  return `--rounds 1 --seed ${plan.seed} --mode ${plan.mode}${backend}${bug}`
}
