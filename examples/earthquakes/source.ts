import { readFile } from 'node:fs/promises'
import { sleep } from '@sluice/driver'
import type { OutgoingMessage } from '@sluice/core'
import type { ModuleContext } from '@sluice/runtime'
import { z } from 'zod'
import { regionOf } from './quake.ts'
import type { Quake } from './quake.ts'

/** The part of the USGS feed that is used: https://earthquake.usgs.gov/earthquakes/feed/v1.0/geojson.php */
const Feed = z.object({
  features: z.array(
    z.object({
      id: z.string(),
      properties: z.object({
        mag: z.number().nullable(),
        place: z.string().nullable(),
        time: z.number(),
        type: z.string(),
      }),
      geometry: z.object({ coordinates: z.tuple([z.number(), z.number(), z.number()]) }),
    }),
  ),
})

const Options = z.object({ feed: z.url(), everySeconds: z.number().positive() })

/**
 * Earthquakes, oldest first, keyed by region so that a region's quakes keep their order. From the recorded week of the
 * `vega-datasets` package, which ends; with `SOURCE=live` from the feed itself, which does not. The USGS's own id is
 * the message's, so a quake that is seen twice is stored once.
 */
export async function* usgs(context: ModuleContext): AsyncGenerator<OutgoingMessage<Quake>> {
  if (process.env['SOURCE'] === 'live') yield* live(context)
  else yield* messages(await recorded())
}

async function recorded(): Promise<unknown> {
  const path = new URL('../data/earthquakes.json', import.meta.resolve('vega-datasets'))
  return JSON.parse(await readFile(path, 'utf8'))
}

async function* live({ options, clock, logger, signal }: ModuleContext): AsyncGenerator<OutgoingMessage<Quake>> {
  const { feed, everySeconds } = Options.parse(options)
  const seen = new Set<string>()
  while (!signal.aborted) {
    try {
      const response = await fetch(feed, { signal })
      if (!response.ok) throw new Error(`${feed} answered ${response.status}`)
      for (const message of messages(await response.json())) {
        if (seen.has(message.value.id)) continue
        seen.add(message.value.id)
        yield message
      }
    } catch (error) {
      if (!signal.aborted) logger.warn({ error }, 'the feed could not be read; trying again')
    }
    await sleep(clock, everySeconds * 1_000, signal).catch(() => undefined)
  }
}

function messages(feed: unknown): OutgoingMessage<Quake>[] {
  const { features } = Feed.parse(feed)
  return features
    .toSorted((a, b) => a.properties.time - b.properties.time || (a.id < b.id ? -1 : 1))
    .flatMap(({ id, properties, geometry }) => {
      const { mag, place, time, type } = properties
      if (mag === null || place === null) return []
      const value: Quake = {
        id,
        kind: type,
        magnitude: mag,
        place,
        time: new Date(time).toISOString(),
        depthKm: geometry.coordinates[2],
      }
      return [{ id, key: regionOf(place), value }]
    })
}
