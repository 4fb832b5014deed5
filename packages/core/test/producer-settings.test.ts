import { describe, expect, it } from 'vitest'
import { producerSettings } from '../src/producer/settings.ts'
import { plainLimits } from './fake-topic.ts'

const [mebibyte, most] = [1024 * 1024, 16 * 1024 * 1024]
const limits = { ...plainLimits, maxBatchBytes: most }

describe('the bytes of a request', () => {
  it.each([
    ['a mebibyte, where nobody says anything', {}, limits, mebibyte],
    ['what serves the backend best', {}, { ...limits, usualBatchBytes: 4 * mebibyte }, 4 * mebibyte],
    ['what the caller says, before that', { maxBatchBytes: 5 }, { ...limits, usualBatchBytes: 4 * mebibyte }, 5],
    ['never more than the backend takes', { maxBatchBytes: 2 * most }, limits, most],
    ['nor by default', {}, { ...limits, maxBatchBytes: 7 }, 7],
  ])('are %s', (_, options, given, expected) => {
    expect(producerSettings(options, given).maxBatchBytes).toBe(expected)
  })
})
