import { describe, expect, it } from 'vitest'
import { StreamError } from '@sluice/driver'
import type { OutgoingRecord, Position } from '@sluice/driver'
import { encodeBatches, hashId, measureRecord, openBatch } from '../src/codec.ts'
import { comparePositions, toOffset, toPosition } from '../src/position.ts'
import { record } from './fixtures.ts'

const long = 'é'.repeat(5000)
const examples: readonly (readonly [string, OutgoingRecord])[] = [
  ['nothing but an id', record({ body: '' })],
  ['a body', record({ body: 'body' })],
  ['every byte', record({ body: Uint8Array.from({ length: 256 }, (_, i) => i) })],
  ['a key', record({ key: 'key' })],
  ['the empty key', record({ key: '' })],
  ['a unicode key', record({ key: 'ключ-🔑' })],
  ['a unicode id', record({ id: 'é-1' })],
  ['an expiry', record({ expiresAtMs: 1_700_000_000_123 })],
  ['headers', record({ headers: { a: '', 'b-c': 'wert ü', d: 'x'.repeat(1024) } })],
  ['long texts', record({ key: long.slice(0, 2000), headers: { h: long } })],
  ['a lone surrogate', record({ headers: { h: 'a\ud800b' } })],
]

function encodeOne(records: readonly OutgoingRecord[]): Uint8Array {
  const { buffer, batches } = encodeBatches([records])
  const batch = batches[0]
  if (batch === undefined) throw new Error('no batch')
  return new Uint8Array(buffer, batch.offset, batch.length)
}

describe('a batch', () => {
  it.each(examples)('gives back %s', (_, example) => {
    const reader = openBatch(encodeOne([example, example]), 2, 'here')
    for (let i = 0; i < 2; i++) {
      expect(reader.peekId()).toBe(example.id)
      const { id, key, body, expiresAtMs } = reader.next()
      expect({ id, key, body, expiresAtMs }).toEqual({
        id: example.id,
        key: example.key,
        body: example.body,
        expiresAtMs: example.expiresAtMs,
      })
    }
    expect(reader.done).toBe(true)
  })

  it('gives back headers', () => {
    const all = examples.map(([, example]) => example)
    const reader = openBatch(encodeOne(all), all.length, 'here')
    for (const { headers } of all) {
      const wellFormed = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name, value.toWellFormed()]),
      )
      expect({ ...reader.next().headers }).toEqual(wellFormed)
    }
  })

  it.each(examples)('takes exactly what measure says for %s', (_, example) => {
    const one = encodeOne([example]).length
    const two = encodeOne([example, example]).length
    expect(two - one).toBe(measureRecord(example))
  })

  it('puts several groups in one buffer, each readable by itself', () => {
    const groups = [[record({ body: 'a' })], [record({ body: 'b' }), record({ body: 'c' })]]
    const { buffer, batches } = encodeBatches(groups)
    expect(batches.map((batch) => batch.count)).toEqual([1, 2])
    for (const [index, batch] of batches.entries()) {
      const reader = openBatch(new Uint8Array(buffer, batch.offset, batch.length), batch.count, 'here')
      expect(reader.next().body).toEqual(groups[index]?.[0]?.body)
    }
  })

  it('skips records', () => {
    const reader = openBatch(encodeOne([record({ body: 'a' }), record({ body: 'b' })]), 2, 'here')
    reader.skip(1)
    expect(reader.next().body).toEqual(new TextEncoder().encode('b'))
  })

  it('says when two ids may be equal', () => {
    const [a, b] = [record({ id: 'same' }), record({ id: 'other' })]
    expect(encodeBatches([[a, b]]).mayRepeat).toBe(false)
    expect(encodeBatches([[a], [b, a]]).mayRepeat).toBe(true)
    const many = Array.from({ length: 5000 }, (_, i) =>
      record({ id: `0190a1b2-c3d4-7abc-8abc-${String(i).padStart(12, '0')}` }),
    )
    expect(encodeBatches([many]).mayRepeat).toBe(false)
    expect(encodeBatches([[...many, many[77] ?? a]]).mayRepeat).toBe(true)
  })

  it('spreads hashes of ids that are much alike', () => {
    const hashes = new Uint32Array(2)
    const low = new Set<number>()
    for (let i = 0; i < 10_000; i++) {
      hashId(`0190a1b2-c3d4-7abc-8abc-${i.toString(16).padStart(12, '0')}`, hashes, 0)
      low.add((hashes[1] ?? 0) & 0xffff)
    }
    // 10 000 balls into 65 536 bins leave about 9 277 bins taken.
    expect(low.size).toBeGreaterThan(9000)
  })
})

describe('a damaged batch is corrupt, whatever is damaged', () => {
  const whole = encodeOne([record({ key: 'k', headers: { a: 'b' }, body: 'hello' })])

  it('one byte', () => {
    for (let at = 0; at < whole.length; at++) {
      const damaged = whole.slice()
      damaged[at] = (damaged[at] ?? 0) ^ 0x41
      expect(() => openBatch(damaged, 1, 'here')).toThrow(expect.objectContaining({ code: 'corrupt' }))
    }
  })

  it('its length', () => {
    for (let length = 0; length < whole.length; length++) {
      expect(() => openBatch(whole.slice(0, length), 1, 'here')).toThrow(expect.objectContaining({ code: 'corrupt' }))
    }
  })

  it('its count, and the message names the place', () => {
    expect(() => openBatch(whole, 2, 'offset 7')).toThrow('offset 7')
  })
})

describe('positions', () => {
  it('are offsets as text, compared as numbers', () => {
    expect(toPosition(10)).toBe('10')
    expect(comparePositions(toPosition(9), toPosition(10))).toBeLessThan(0)
    expect(comparePositions(toPosition(10), toPosition(10))).toBe(0)
    expect(comparePositions(toPosition(100), toPosition(11))).toBeGreaterThan(0)
  })

  it.each(['', 'x', '1.5', '-1', '-2', '99999999999999999', ' 1'])('refuses %j', (text) => {
    let error: unknown
    try {
      toOffset(text as Position, '0')
    } catch (caught) {
      error = caught
    }
    expect(StreamError.is(error, 'invalid-argument')).toBe(true)
  })
})
