import { mkdir, open, readdir, readFile, truncate } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Message } from '@sluice/core'
import { defineSink } from '@sluice/runtime'
import { z } from 'zod'

const Options = z.object({ folder: z.string() })

/**
 * Keeps alerts as newline-delimited JSON, a file for each key. A message is acknowledged once its line is synced to
 * disk, so none is lost; lines carry the message's id, and one that is there already is not written again, so a message
 * that comes twice, after a crash say, is kept once. Keys keep their order and lines hold nothing that depends on the
 * backend: two archives of the same run are equal byte for byte, whatever it ran on.
 */
export const archive = defineSink({
  async open({ options, folder }) {
    const root = resolve(folder, Options.parse(options).folder)
    await mkdir(root, { recursive: true })
    const kept = await idsOf(root)
    return {
      async write(messages) {
        for (const [file, group] of byFile(messages.filter(({ id }) => !kept.has(id)))) {
          await appendSynced(join(root, file), group.map(toLine).join(''))
          for (const { id } of group) kept.add(id)
        }
      },
    }
  },
})

function byFile(messages: readonly Message<unknown>[]): ReadonlyMap<string, readonly Message<unknown>[]> {
  const unique = new Map(messages.map((message) => [message.id, message]))
  return Map.groupBy(unique.values(), ({ key = '' }) => `${encodeURIComponent(key)}.ndjson`)
}

function toLine({ id, key, value }: Message<unknown>): string {
  return `${JSON.stringify({ id, key, value })}\n`
}

async function appendSynced(path: string, text: string): Promise<void> {
  await using file = await open(path, 'a')
  await file.writeFile(text)
  await file.datasync()
}

/** Ids of everything kept so far. A last line that a crash cut short is taken away: its message comes again. */
async function idsOf(root: string): Promise<Set<string>> {
  const ids = new Set<string>()
  for (const name of await readdir(root)) {
    if (!name.endsWith('.ndjson')) continue
    const path = join(root, name)
    const text = await readFile(path, 'utf8')
    const whole = text.slice(0, text.lastIndexOf('\n') + 1)
    if (whole.length < text.length) await truncate(path, Buffer.byteLength(whole))
    for (const line of whole.split('\n'))
      if (line !== '') ids.add(z.object({ id: z.string() }).parse(JSON.parse(line)).id)
  }
  return ids
}
