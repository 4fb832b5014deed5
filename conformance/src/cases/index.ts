import type { Case } from '../case.ts'

/** Every case, by area. */
export const cases: readonly Case[] = []
