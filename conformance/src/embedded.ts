import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Harness } from './harness.ts'

/** Times that suit tests: dead members are noticed, and retention is applied, within a moment. */
const quick = 'failoverMs=600&leaseMs=600&sweepMs=50'

/** The log in memory. With a profile, some of its capabilities are taken away. */
export function memoryHarness(profile?: string, changes: Partial<Harness> = {}): Harness {
  const unique = `conformance-${Date.now().toString(36)}${Math.floor(Math.random() * 1e9).toString(36)}`
  const suffix = profile === undefined ? '' : `&profile=${profile}`
  return {
    name: profile === undefined ? 'memory' : `memory, ${profile}`,
    url: `memory:${unique}?${quick}${suffix}`,
    ...changes,
  }
}

/** The log in a folder of its own, which is deleted in the end. */
function localHarness(profile?: string, changes: Partial<Harness> = {}): Harness {
  const suffix = profile === undefined ? '' : `&profile=${profile}`
  let folder: Promise<string> | undefined
  return {
    name: profile === undefined ? 'local' : `local, ${profile}`,
    url: async () => {
      folder ??= mkdtemp(join(tmpdir(), 'sluice-conformance-'))
      return `local:${await folder}?${quick}${suffix}`
    },
    canKill: true,
    close: async () => {
      if (folder !== undefined) await rm(await folder, { recursive: true, force: true })
    },
    ...changes,
  }
}

/** Every backend that needs nothing but this machine. */
export function embeddedHarnesses(): readonly Harness[] {
  return [
    memoryHarness(),
    localHarness(),
    memoryHarness('no-positions', { tuning: { backlog: 20_000 } }),
    memoryHarness('ordered-queue', { tuning: { backlog: 20_000 } }),
    memoryHarness('partial', { tuning: { backlog: 20_000 } }),
    memoryHarness('ambiguous', { copies: 3, tuning: { backlog: 20_000 } }),
    memoryHarness('ambiguous-dedup', { tuning: { backlog: 20_000 } }),
    memoryHarness('small'),
    memoryHarness(undefined, { name: 'memory, order none', topicSpec: { order: 'none' } }),
  ]
}
