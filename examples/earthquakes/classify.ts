import { defineFunction } from '@sluice/core'
import { Alert, Quake, regionOf, strengths } from './quake.ts'

/** Below this magnitude a quake is hardly felt, and nobody is told. */
const alertFrom = 4.5

/** Quakes in, alerts out: the strong ones, with the words that newspapers use. Blasts and weak quakes become nothing. */
export const classify = defineFunction({
  name: 'classify',
  input: Quake,
  output: Alert,
  handle({ value }) {
    if (value.kind !== 'earthquake' || value.magnitude < alertFrom) return undefined
    const region = regionOf(value.place)
    const { id, magnitude, place, time, depthKm } = value
    return {
      id,
      key: region,
      value: { quake: id, strength: strengthOf(magnitude), magnitude, region, place, time, depthKm },
    }
  },
})

function strengthOf(magnitude: number): Alert['strength'] {
  const step = Math.min(Math.max(Math.floor(magnitude) - 4, 0), strengths.length - 1)
  return strengths[step] ?? 'great'
}
