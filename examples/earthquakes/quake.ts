import { z } from 'zod'

/** A report of the USGS feed, as the pipeline carries it. */
export const Quake = z.object({
  id: z.string(),
  kind: z.string(),
  magnitude: z.number(),
  place: z.string(),
  time: z.iso.datetime(),
  depthKm: z.number(),
})

/** A report of the USGS feed, as the pipeline carries it. */
export type Quake = z.infer<typeof Quake>

/** How strong a quake is, by the words that newspapers use. */
export const strengths = ['light', 'moderate', 'strong', 'major', 'great'] as const

/** A quake worth telling about. */
export const Alert = z.object({
  quake: z.string(),
  strength: z.enum(strengths),
  magnitude: z.number(),
  region: z.string(),
  place: z.string(),
  time: z.iso.datetime(),
  depthKm: z.number(),
})

/** A quake worth telling about. */
export type Alert = z.infer<typeof Alert>

/** The region of a place such as `22km NNE of Hualian, Taiwan`: what follows the last comma, or all of it. */
export function regionOf(place: string): string {
  return (place.split(',').at(-1) ?? place).trim()
}
