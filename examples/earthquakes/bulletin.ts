import type { Message } from '@sluice/core'
import { Alert } from './quake.ts'

/** Prints each alert on a line. */
export function bulletin(message: Message<unknown>): void {
  const { time, magnitude, strength, place, depthKm } = Alert.parse(message.value)
  const when = time.slice(0, 16).replace('T', ' ')
  console.log(`${when}  M ${magnitude.toFixed(1)}  ${strength.padEnd(8)}  ${place}, ${Math.round(depthKm)} km deep`)
}
