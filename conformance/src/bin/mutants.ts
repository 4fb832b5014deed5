import { parseArgs } from 'node:util'
import { cases } from '../cases/index.ts'
import type { Case } from '../case.ts'
import { memoryHarness } from '../embedded.ts'
import type { Harness } from '../harness.ts'
import { mutants } from '../mutants/index.ts'
import type { Mutant } from '../mutants/mutant.ts'
import type { Result } from '../result.ts'
import { runCase } from '../runner.ts'
import { explore } from '../suite.ts'

/**
 * Runs every mutant against the case that must kill it: the case must pass without the bug and fail by its assertion
 * with it. A crash, a hang or a leak is not a kill. Ends with 1 when a mutant survives. `mutants.ts [--only name]`.
 */
const { values } = parseArgs({ options: { only: { type: 'string' } } })

interface Trial {
  readonly mutant: Mutant
  readonly killed: boolean
  readonly why: string
}

/** What should come comes within moments here; what a mutant never brings need not be waited for long. */
const impatient: Partial<Harness> = { tuning: { patienceMs: 2_500 } }

const sound = new Map<string, Result>()
const trials: Trial[] = []
for (const mutant of mutants.filter((one) => values.only === undefined || one.name === values.only)) {
  const trial = await tryMutant(mutant)
  trials.push(trial)
  console.log(
    `${trial.killed ? 'killed  ' : 'SURVIVED'}  ${mutant.name.padEnd(30)}  ${mutant.killedBy.padEnd(46)}  ${trial.why.slice(0, 150)}`,
  )
}
const killed = trials.filter((trial) => trial.killed).length
console.log(`\n${killed} passed, ${trials.length - killed} failed`)
process.exit(killed === trials.length ? 0 : 1)

async function tryMutant(mutant: Mutant): Promise<Trial> {
  const one = cases.find((each) => each.name === mutant.killedBy)
  if (one === undefined) return { mutant, killed: false, why: `there is no case ${mutant.killedBy}` }
  const { order = 'key' } = mutant
  const trial: Partial<Harness> = { ...impatient, topicSpec: { order } }
  const key = `${one.name}, order ${order}`
  const without = sound.get(key) ?? (await runOn(one, memoryHarness(undefined, trial)))
  sound.set(key, without)
  if (without.status !== 'passed')
    return {
      mutant,
      killed: false,
      why: `the case is ${without.status} without the bug: ${without.message ?? without.reason ?? ''}`,
    }
  const result = await runOn(one, memoryHarness(undefined, { ...trial, ...mutant.infect() }))
  const unmet = result.status === 'failed' && result.failure === 'unmet'
  if (unmet) return { mutant, killed: true, why: result.message ?? '' }
  return {
    mutant,
    killed: false,
    why: `the case is ${result.status} with the bug (${result.failure ?? 'no failure'}): ${result.message ?? ''}`,
  }
}

async function runOn(one: Case, harness: Harness): Promise<Result> {
  const { world, anchor } = await explore(harness)
  try {
    return await runCase(one, world, { leaks: false })
  } finally {
    await anchor.close()
  }
}
