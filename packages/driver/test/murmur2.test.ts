import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { murmur2, partitionForKey } from '../src/index.ts'

interface Row {
  readonly k: string
  readonly h: number
  readonly p: readonly number[]
}

describe('murmur2', () => {
  // Made by org.apache.kafka:kafka-clients 4.4.0 (Utils.murmur2, BuiltInPartitioner.partitionForKey) over 10,000 keys.
  const lines = gunzipSync(readFileSync(new URL('./java-partitions.jsonl.gz', import.meta.url)))
    .toString()
    .trim()
    .split('\n')
  const { counts } = JSON.parse(lines[0] ?? '') as { readonly counts: readonly number[] }
  const rows = lines.slice(1).map((line) => JSON.parse(line) as Row)

  it('gives the hash of the Java client for 10,000 keys', () => {
    expect(rows.length).toBe(10_000)
    const wrong = rows.filter((row) => murmur2(Buffer.from(row.k, 'base64')) !== row.h)
    expect(wrong).toEqual([])
  })

  it('gives the partition of the Java client for each partition count', () => {
    const wrong = rows.filter((row) =>
      counts.some((count, index) => partitionForKey(Buffer.from(row.k, 'base64'), count) !== row.p[index]),
    )
    expect(wrong).toEqual([])
  })

  it('hashes text keys as UTF-8', () => {
    for (const key of ['ñandú', '日本語', '🙂'])
      expect(partitionForKey(key, 1000)).toBe(partitionForKey(Buffer.from(key), 1000))
  })
})
