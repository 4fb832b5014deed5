import { describe, expect, it } from 'vitest'
import { parseBackendUrl, StreamError } from '@sluice/driver'
import { optionDescriptions, parseConfig } from '../src/config.ts'
import type { LocalConfig } from '../src/config.ts'

const parse = (address: string): LocalConfig => parseConfig(parseBackendUrl(address))

const defaults: Partial<LocalConfig> = {
  durability: 'full',
  partitions: 4,
  failoverMs: 3000,
  leaseMs: 30_000,
  sweepMs: 5000,
  busyMs: 5000,
  maxRecordBytes: 16 * 1024 * 1024,
  profiles: [],
  maxPages: undefined,
}

const said: readonly (readonly [string, Partial<LocalConfig>])[] = [
  ['local:./data', { scheme: 'local', path: './data', ...defaults }],
  ['local://./data', { scheme: 'local', path: './data' }],
  ['local:/abs/a%20b', { path: '/abs/a b' }],
  ['memory:', { scheme: 'memory', path: '', ...defaults }],
  ['memory:shared', { path: 'shared' }],
  ['local:d?durability=normal&partitions=1&failoverMs=100', { durability: 'normal', partitions: 1, failoverMs: 100 }],
  [
    'local:d?leaseMs=50&sweepMs=10&busyMs=0&maxRecordBytes=1024',
    { leaseMs: 50, sweepMs: 10, busyMs: 0, maxRecordBytes: 1024 },
  ],
  ['memory:?profile=none', { profiles: [] }],
  ['memory:?profile=partial,small,partial', { profiles: ['partial', 'small'] }],
]

describe('what an address says', () => {
  it.each(said)('%s', (address, expected) => {
    expect(parse(address)).toMatchObject(expected)
  })

  it('has the defaults its table tells of', () => {
    const config = parse('memory:') as unknown as Record<string, unknown>
    for (const { name, default: text } of optionDescriptions) {
      const value = name === 'profile' ? (config['profiles'] as unknown[]).length === 0 && 'none' : config[name]
      expect([name, String(value)]).toEqual([name, text])
    }
  })

  it.each([
    ['local:', 'names no folder'],
    ['local:d?durabilty=full', 'did you mean "durability"'],
    ['local:d?zzz=1', 'known are durability'],
    ['local:d?durability=ful', 'did you mean "full"'],
    ['local:d?durability=never', 'write full or normal'],
    ['local:d?failoverMs=soon', 'whole number from 100 to 600000'],
    ['local:d?failoverMs=-5', 'whole number'],
    ['local:d?partitions=0', 'whole number from 1 to 1024'],
    ['local:d?partitions=1.5', 'whole number'],
    ['local:d?leaseMs=', 'whole number'],
    ['memory:?profile=smal', 'did you mean "small"'],
    ['memory:?profile=huge-thing', 'known are no-positions'],
    ['memory:?profile=no-positions,ordered-queue', 'exclude each other'],
    ['local:a%00b', 'NUL'],
  ])('%s is refused', (address, message) => {
    let error: unknown
    try {
      parse(address)
    } catch (caught) {
      error = caught
    }
    expect(StreamError.is(error, 'invalid-argument')).toBe(true)
    expect(String(error)).toContain(message)
  })
})
