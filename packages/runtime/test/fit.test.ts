import { connect } from '@sluice/core'
import type { Capabilities, Limits } from '@sluice/driver'
import { beforeAll, describe, expect, it } from 'vitest'
import { findDifferences, findMissing } from '../src/fit.ts'
import type { BackendFacts } from '../src/fit.ts'
import { parsePipeline } from '../src/parse-pipeline.ts'

const pipeline = parsePipeline(
  `topics: { quakes: { partitions: 4, retention: 7d }, alerts: {} }
functions:
  classify: { from: quakes, to: alerts, use: ./classify.ts }
  count: { from: quakes, to: alerts, use: ./classify.ts, delivery: exactly-once, start: latest }
clients: { bulletin: { from: alerts, use: ./bulletin.ts, start: 2026-11-01 } }
`,
  'sluice.yaml',
)

let local: BackendFacts

beforeAll(async () => {
  await using cloud = await connect('memory:')
  local = { name: 'local', capabilities: { ...cloud.capabilities, persistent: true }, limits: cloud.limits }
})

const other = (capabilities: Partial<Capabilities>, limits: Partial<Limits> = {}): BackendFacts => ({
  name: 'other',
  capabilities: { ...local.capabilities, ...capabilities },
  limits: { ...local.limits, ...limits },
})

const missing = (capabilities: Partial<Capabilities>): readonly string[] =>
  findMissing(pipeline, other(capabilities)).map(({ about, what }) => `${about}: ${what}`)

const differs = (capabilities: Partial<Capabilities>, limits: Partial<Limits> = {}): readonly string[] =>
  findDifferences(pipeline, local, other(capabilities, limits))
    .filter(({ kind }) => kind === 'differs')
    .map(({ about, what }) => `${about}: ${what}`)

describe('what a pipeline needs', () => {
  it('is all there on a backend that can everything', () => {
    expect(findMissing(pipeline, local)).toEqual([])
    expect(findDifferences(pipeline, local, local)).toEqual([])
  })

  it('is named part by part where it is missing', () => {
    expect(missing({ transactions: false })).toEqual([
      'function count: other cannot store outputs and progress in one transaction',
    ])
    expect(missing({ start: ['earliest'] })).toEqual([
      'function count: a group cannot start at latest on other',
      'client bulletin: a group cannot start at time on other',
    ])
    expect(missing({ shapes: { key: false, none: 'queue' } })).toEqual([
      'topic quakes: other has no topics with order "key"',
      'topic alerts: other has no topics with order "key"',
      'function count: other cannot store outputs and progress in one transaction',
    ])
    expect(
      missing({ retention: { minMs: 86_400_000, maxMs: 5 * 86_400_000, defaultMs: 86_400_000, bytes: false } }),
    ).toEqual(['topic quakes: other keeps records 1 day to 5 days'])
    expect(missing({ admin: [] })).toHaveLength(2)
  })
})

describe('what a move changes', () => {
  it('is told for the parts it matters to, what can cost data first', () => {
    const there = differs(
      { dedup: false, transactions: false, positions: 'none', seek: ['earliest', 'time'], embedded: false },
      { maxRecordBytes: 1_048_576, maxHeaders: 10 },
    )
    expect(there).toEqual([
      `all: a record has at most 1048576 bytes, not ${local.limits.maxRecordBytes}`,
      'all: maxHeaders is 10, not 64',
      'all: what is sent again with the same id is stored again, also by a send whose answer was lost',
      'function classify: its outputs come at least once, not exactly once: after a crash some are repeated',
      'all: messages carry no position',
      'all: a group cannot be moved to latest, position',
      'all: other is a server that has to run',
    ])
  })

  it('names the topics whose records are kept for a shorter time, and those only', () => {
    expect(differs({ retention: { minMs: 1, maxMs: 31 * 86_400_000, defaultMs: 86_400_000, bytes: true } })).toEqual([
      'topic alerts: its records are kept for 1 day, unless the pipeline says otherwise',
    ])
  })

  it('tells repeats by what the other backend keeps', () => {
    const help = (ids: boolean): readonly (string | undefined)[] =>
      findDifferences(pipeline, local, other({ dedup: false, ids })).map((difference) => difference.help)
    expect(help(true)).toContain('let handlers recognise a repeat by message.id')
    expect(help(false)).toContain('let handlers recognise a repeat by what is in it')
  })

  it('is nothing where the other backend can more', () => {
    const less = other({ dedup: false, seekLive: false }, { maxKeyBytes: 10 })
    expect(findDifferences(pipeline, less, local)).toEqual([])
  })
})
