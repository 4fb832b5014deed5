import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CrashArguments } from './arguments.ts'
import { Crew } from './crew.ts'
import { groupBy } from './history.ts'
import { planRound } from './plan.ts'
import type { RoundPlan } from './plan.ts'
import { playRound } from './round.ts'
import type { RoundResult } from './round.ts'

/** What a run works with. */
export interface RunContext {
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
    `seed ${args.seed}, ${args.rounds} rounds on ${args.backend ?? 'local, a folder for each round'}${args.bug === undefined ? '' : `, with the bug ${args.bug}`}`,
  )
  try {
    for (let index = 0; index < args.rounds; index++) {
      crew.prepare(reserve)
      await oneRound(args, index, crew, root, totals, print)
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

async function oneRound(
  args: CrashArguments,
  index: number,
  crew: Crew,
  root: string,
  totals: Totals,
  print: (line: string) => void,
): Promise<void> {
  const plan = planRound((args.seed + index) % 4_294_967_296, args.mode)
  const folder = join(root, `round-${plan.seed}`)
  mkdirSync(folder, { recursive: true })
  const name = `crash-${Date.now().toString(36)}-${plan.seed}`
  const scene = {
    plan,
    crew,
    address: args.backend ?? `local:${join(folder, 'log')}`,
    folder,
    topic: name,
    outputs: `${name}.outputs`,
    bug: args.bug,
  }
  const started = performance.now()
  const result = await playRound(scene).catch(broken)
  const tookMs = Math.round(performance.now() - started)
  add(totals, result)
  print(roundLine(index + 1, plan, result, tookMs))
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
