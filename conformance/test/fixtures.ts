import type { Case } from '../src/case.ts'
import { defaultTuning } from '../src/harness.ts'
import type { World } from '../src/harness.ts'
import { memoryHarness } from '../src/embedded.ts'
import { explore } from '../src/suite.ts'

/** A world over the log in memory, and what closes it. */
export async function memoryWorld(): Promise<{ readonly world: World; close(): Promise<void> }> {
  const { world, anchor } = await explore(memoryHarness())
  return {
    world: { ...world, tuning: { ...defaultTuning, patienceMs: 300, settleMs: 20 } },
    close: () => anchor.close(),
  }
}

/** A case that does what the test wants. */
export function caseOf(run: Case['run'], changes: Partial<Case> = {}): Case {
  return { name: 'test/case', title: 'a case of the test', run, ...changes }
}
