import type { Case } from '../case.ts'
import { adminCases } from './admin.ts'
import { capabilityCases } from './capabilities.ts'
import { consumeCases } from './consume.ts'
import { deadLetterCases } from './dead-letters.ts'
import { errorCases } from './errors.ts'
import { clockCases } from './clocks.ts'
import { faultCases } from './faults.ts'
import { flowCases } from './flow.ts'
import { functionFailureCases } from './function-failures.ts'
import { functionCases } from './functions.ts'
import { groupCases } from './groups.ts'
import { handoverCases } from './handover.ts'
import { interopCases } from './interop.ts'
import { lifeCases } from './life.ts'
import { limitsCases } from './limits.ts'
import { placeCases } from './places.ts'
import { positionCases } from './position.ts'
import { publishFlowCases } from './publish-flow.ts'
import { publishCases } from './publish.ts'
import { reshardCases } from './reshard.ts'
import { retentionCases } from './retention.ts'
import { roundtripCases } from './roundtrip.ts'
import { seekCases } from './seek.ts'
import { sendBackCases } from './send-back.ts'
import { settleCases } from './settle.ts'
import { stormCases } from './storm.ts'
import { tenureCases } from './tenures.ts'

/** Every case, by area. */
export const cases: readonly Case[] = [
  ...roundtripCases,
  ...publishCases,
  ...publishFlowCases,
  ...placeCases,
  ...limitsCases,
  ...consumeCases,
  ...settleCases,
  ...deadLetterCases,
  ...sendBackCases,
  ...flowCases,
  ...groupCases,
  ...stormCases,
  ...handoverCases,
  ...tenureCases,
  ...reshardCases,
  ...seekCases,
  ...positionCases,
  ...adminCases,
  ...retentionCases,
  ...lifeCases,
  ...errorCases,
  ...faultCases,
  ...clockCases,
  ...interopCases,
  ...functionCases,
  ...functionFailureCases,
  ...capabilityCases,
]
