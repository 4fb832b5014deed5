import type { Case } from '../case.ts'
import { publishFlowCases } from "./publish-flow.ts"
import { publishCases } from "./publish.ts"
import { roundtripCases } from "./roundtrip.ts"

/** Every case, by area. */
export const cases: readonly Case[] = [...roundtripCases, ...publishCases, ...publishFlowCases]
