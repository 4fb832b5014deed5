import { conformance } from '@sluice/conformance'
import { findLocalStack } from '@sluice/emulators'
import { expect, it } from 'vitest'
import { accountHarness, localStackHarness } from './harness.ts'

/** Tests look at the environment; the adapter never does. */
function environment(): NodeJS.ProcessEnv {
  // oxlint-disable-next-line node/no-process-env -- where a backend is on this machine
  return process.env
}

/** Runs the suite on LocalStack, or shows why it cannot be run here. Where `SLUICE_REQUIRE` names it, that is an error. */
export async function onLocalStack(): Promise<void> {
  const env = environment()
  const found = await findLocalStack({ env })
  if (!('tried' in found)) return conformance(() => localStackHarness(found, env))
  const reason = `no LocalStack: ${found.tried.join('; ')}`
  if (env['SLUICE_REQUIRE']?.includes('localstack') === true) throw new Error(reason)
  tellWhyNot('conformance of kinesis, LocalStack', reason)
}

/** Runs the suite where `SLUICE_KINESIS_URL` leads to, which may cost money: `kinesis://eu-west-1`. */
export function onAccount(): void {
  const { SLUICE_KINESIS_URL: url } = environment()
  if (url !== undefined && url !== '') conformance(() => accountHarness(url))
  else tellWhyNot('conformance of kinesis, account', 'SLUICE_KINESIS_URL is not set')
}

/** A test that is shown as skipped, with its reason. */
function tellWhyNot(name: string, reason: string): void {
  it(`${name}: not run`, ({ skip }) => {
    expect(reason).not.toBe('')
    skip(reason)
  })
}
