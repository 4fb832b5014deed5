import type { Case } from './case.ts'
import { CaseContext } from './context.ts'
import type { Divergence } from './divergences.ts'
import { Unmet } from './expect.ts'
import type { World } from './harness.ts'
import { leakedSince, openHandles } from './leaks.ts'
import type { Result } from './result.ts'

/** What a run of one case may depend on besides the backend. */
export interface RunCaseOptions {
  readonly divergence?: Divergence | undefined
  /** Whether to compare open handles before and after. Only with cases one at a time. Default true. */
  readonly leaks?: boolean
  readonly signal?: AbortSignal | undefined
}

interface Verdict {
  readonly failure: Result['failure']
  readonly message: string
}

/** Runs one case, or its refusal, on one backend. Never rejects. */
export async function runCase(one: Case, world: World, options: RunCaseOptions = {}): Promise<Result> {
  const started = performance.now()
  const need = one.needs?.(world) ?? true
  const result = (status: Result['status'], reason?: string, verdict?: Verdict): Result => ({
    name: one.name,
    title: one.title,
    status,
    reason,
    message: verdict?.message,
    failure: verdict?.failure,
    tookMs: Math.round(performance.now() - started),
  })
  if (typeof need === 'object') return result('not-run', need.notRun)
  if (need !== true && one.refusal === undefined) return result('not-run', need)
  const run = need === true ? one.run : (one.refusal ?? one.run)
  const verdict = await attempt(one, run, world, options)
  const { divergence } = options
  if (divergence !== undefined && verdict !== undefined) {
    return result('diverged', `${divergence.reason} (${divergence.link})`, verdict)
  }
  if (divergence !== undefined) {
    const message = `this backend no longer diverges here; take its entry out of the register: ${divergence.reason}`
    return result('failed', undefined, { failure: 'unmet', message })
  }
  if (verdict !== undefined) return result('failed', undefined, verdict)
  if (need !== true) return result('refused', need)
  return one.applies === undefined ? result('passed') : result('refused', 'the capability is false')
}

/** Runs it to its end, its deadline, or its first failure, and cleans up; `undefined` when all went well. */
async function attempt(
  one: Case,
  run: (context: CaseContext) => Promise<void>,
  world: World,
  options: RunCaseOptions,
): Promise<Verdict | undefined> {
  const before = openHandles()
  const deadlineMs = one.deadlineMs ?? world.tuning.caseMs
  const controller = new AbortController()
  const signal = options.signal === undefined ? controller.signal : AbortSignal.any([controller.signal, options.signal])
  const context = new CaseContext(world, one.name, signal)
  const stray = watchStrays()
  const verdict = await race(() => run(context), deadlineMs, one.name)
  const circumstances = context.circumstances()
  controller.abort(new Error(`${one.name} has ended`))
  const troubles = [...(await context.dispose())]
  if (world.harness.tidy === true) await context.tidy().catch((error: unknown) => troubles.push(String(error)))
  const strays = stray.stop()
  if (verdict !== undefined) return withCircumstances(verdict, circumstances)
  if (troubles.length > 0) return { failure: 'leak', message: `could not be cleaned up: ${troubles.join('; ')}` }
  if (strays.length > 0) return { failure: 'crash', message: `unhandled rejection: ${strays.join('; ')}` }
  const leaked = options.leaks === false ? [] : await leakedSince(before)
  return leaked.length === 0 ? undefined : { failure: 'leak', message: `left open: ${leaked.join(', ')}` }
}

function withCircumstances(verdict: Verdict, circumstances: readonly string[]): Verdict {
  if (circumstances.length === 0) return verdict
  return { ...verdict, message: `${verdict.message} (meanwhile: ${circumstances.join('; ')})` }
}

async function race(run: () => Promise<void>, deadlineMs: number, name: string): Promise<Verdict | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Verdict>((resolve) => {
    const message = `${name} hangs: not done within its deadline of ${deadlineMs} ms`
    timer = setTimeout(() => resolve({ failure: 'hang', message }), deadlineMs)
  })
  const done = run().then(() => undefined, toVerdict)
  try {
    return await Promise.race([done, late])
  } finally {
    clearTimeout(timer)
  }
}

function toVerdict(error: unknown): Verdict {
  if (error instanceof Unmet) return { failure: 'unmet', message: error.message }
  if (!(error instanceof Error)) return { failure: 'crash', message: String(error) }
  const where = error.stack
    ?.split('\n')
    .slice(1, 4)
    .map((line) => line.trim())
    .join(' < ')
  return { failure: 'crash', message: `${error.name}: ${error.message} (${where ?? 'no stack'})` }
}

/** Rejections that nobody handled while the case ran. */
function watchStrays(): { stop(): readonly string[] } {
  const strays: string[] = []
  const note = (reason: unknown): void => {
    strays.push(reason instanceof Error ? `${reason.message} ${reason.stack ?? ''}` : String(reason))
  }
  process.on('unhandledRejection', note)
  return {
    stop: () => {
      process.off('unhandledRejection', note)
      return strays
    },
  }
}
