import { describe, expect, it } from 'vitest'
import { disaggregate } from '../src/aggregate.ts'
import { measureRecord } from '../src/codec.ts'
import * as packing from '../src/packing.ts'
import type { HashKeyOf, Lane, PackingOptions } from '../src/packing.ts'
import { outgoing } from './fixtures.ts'

const kpl: PackingOptions = { encoding: 'kpl', aggregation: true, aggregateBytes: 1_024 }

function pack(
  records: readonly ReturnType<typeof outgoing>[],
  options: PackingOptions,
  hashKeyOf: HashKeyOf = () => undefined,
): readonly Lane[] {
  return packing.pack(records, { options, hashKeyOf, allocate: Buffer.allocUnsafe })
}

function keyed(...keys: readonly (string | undefined)[]): ReturnType<typeof outgoing>[] {
  return keys.map((key, index) => outgoing({ id: String(index), key }))
}

describe('packing', () => {
  it('puts the records of a key together, and keeps their order', () => {
    const lanes = pack(keyed('a', 'b', 'a', 'b', 'a'), kpl)
    expect(lanes.map(({ parcels }) => parcels.map(({ partitionKey, members }) => [partitionKey, members]))).toEqual([
      [['a', [0, 2, 4]]],
      [['b', [1, 3]]],
    ])
    expect(disaggregate(lanes[0]?.parcels[0]?.data() ?? Buffer.alloc(0))?.length).toBe(3)
  })

  it('begins another aggregate where one would grow too large, to be sent after it', () => {
    const records = keyed('a', 'a', 'a', 'a').map((record) => ({ ...record, body: Buffer.alloc(400) }))
    const [lane, ...others] = pack(records, kpl)
    expect(others).toEqual([])
    expect(lane?.parcels.map(({ members }) => members)).toEqual([
      [0, 1],
      [2, 3],
    ])
    expect(Math.max(...(lane?.parcels ?? []).map((parcel) => parcel.data().length))).toBeLessThanOrEqual(1_024)
  })

  it('lets a record that is larger than an aggregate may grow stand alone', () => {
    const records = keyed('a', 'a', 'a').map((record, at) => ({ ...record, body: Buffer.alloc(at === 1 ? 5_000 : 1) }))
    expect(pack(records, kpl)[0]?.parcels.map(({ members }) => members)).toEqual([[0], [1], [2]])
  })

  it('spreads records without a key, each aggregate under a key of its own', () => {
    const records = keyed(undefined, undefined, undefined, undefined).map((record) => ({
      ...record,
      body: Buffer.alloc(400),
    }))
    const lanes = pack(records, kpl)
    expect(lanes.map(({ parcels }) => parcels.length)).toEqual([1, 1])
    expect(new Set(lanes.map(({ parcels }) => parcels[0]?.partitionKey)).size).toBe(2)
  })

  it('keeps apart what asks for another partition', () => {
    const records = [
      outgoing({ partition: 's1' }),
      outgoing({ partition: 's2' }),
      outgoing({ partition: 's1' }),
      outgoing(),
    ]
    // All are of one key: none may be stored before the one ahead of it.
    const lanes = pack(records, kpl)
    expect(lanes.map(({ parcels }) => parcels.map(({ partition, members }) => [partition, members]))).toEqual([
      [
        ['s1', [0]],
        ['s2', [1]],
        ['s1', [2]],
        [undefined, [3]],
      ],
    ])
  })

  it('tells readers of the KCL the hash key of a partition that was asked for, or they drop the aggregate', () => {
    const records = [outgoing({ partition: 's1' }), outgoing({ partition: 's1' })]
    const [lane] = pack(records, kpl, () => '42')
    const [parcel] = lane?.parcels ?? []
    expect(parcel?.explicitHashKey).toBe('42')
    expect(disaggregate(parcel?.data() ?? Buffer.alloc(0))?.map((one) => one.explicitHashKey)).toEqual(['42', '42'])
    const single = outgoing({ partition: 's1' })
    const most = String(2n ** 128n - 1n)
    const alone = pack([single], kpl, () => most)[0]?.parcels[0]
    expect(measureRecord('kpl', single)).toBe(
      (alone?.data().length ?? 0) + Buffer.byteLength(alone?.partitionKey ?? ''),
    )
  })

  it('counts the partition key with the data, as the service does', () => {
    const key = 'k'.repeat(200)
    const records = Array.from({ length: 9_000 }, () => outgoing({ key, body: Buffer.alloc(100) }))
    for (const aggregateBytes of [1_024, 51_200, 1_048_576]) {
      const [lane] = pack(records, { ...kpl, aggregateBytes })
      const parcels = lane?.parcels ?? []
      const sizes = parcels.map((parcel) => parcel.data().length + parcel.partitionKey.length)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(aggregateBytes)
      // What is known of them before they are written is right.
      expect(parcels.map(({ bytes }) => bytes)).toEqual(sizes)
    }
  })

  it.each<PackingOptions>([
    { ...kpl, aggregation: false },
    { ...kpl, encoding: 'raw', aggregation: false },
    { ...kpl, encoding: 'cloudevents-json', aggregation: false },
  ])('without aggregation, $encoding, every record is one of the stream, those of a key in turn', (options) => {
    const lanes = pack(keyed('a', 'a', undefined, undefined), options)
    expect(lanes.map(({ parcels }) => parcels.map(({ members }) => members))).toEqual([[[2]], [[3]], [[0], [1]]])
  })
})
