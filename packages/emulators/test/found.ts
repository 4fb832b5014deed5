import { findLocalStack } from '../src/index.ts'
import type { LocalStack } from '../src/index.ts'

/** The LocalStack that a test can run on; a text says why there is none. Where `SLUICE_REQUIRE` names it, that is an error. */
export async function localStackFor(env: NodeJS.ProcessEnv): Promise<LocalStack | string> {
  const found = await findLocalStack({ env })
  if (!('tried' in found)) return found
  const why = `no LocalStack: ${found.tried.join('; ')}`
  if (env['SLUICE_REQUIRE']?.includes('localstack') === true) throw new Error(why)
  return why
}
