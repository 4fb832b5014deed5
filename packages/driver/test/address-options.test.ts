import { describe, expect, it } from 'vitest'
import { AddressOptions, parseBackendUrl } from '../src/index.ts'

const descriptions = [
  { name: 'count', default: '4', meaning: 'A number' },
  { name: 'mode', default: 'slow', meaning: 'A word' },
  { name: 'name', default: '', meaning: 'A text' },
]

function options(query: string): AddressOptions {
  return new AddressOptions(parseBackendUrl(`x://host?${query}`), descriptions, ['hidden'])
}

describe('options of an address', () => {
  it('are read, or undefined where they are not there', () => {
    const given = options('count=7&mode=fast&name=a-b&hidden=1')
    expect(given.whole('count', 1, 9)).toBe(7)
    expect(given.choice('mode', ['slow', 'fast'])).toBe('fast')
    expect(given.matching('name', /^[a-z-]+$/, 'letters')).toBe('a-b')
    expect(given.text('name')).toBe('a-b')
    const none = options('')
    expect([
      none.whole('count', 1, 9),
      none.choice('mode', ['slow']),
      none.matching('name', /./, ''),
      none.text('name'),
    ]).toEqual([undefined, undefined, undefined, undefined])
    expect(options('name=').text('name')).toBeUndefined()
  })

  it.each([
    ['cuont=1', /unknown option "cuont"; did you mean "count"/],
    ['entirely=1', /known are count, mode, name/],
  ])('%s is refused', (query, message) => {
    expect(() => options(query)).toThrow(message)
  })

  it.each(['0', '10', '1.5', '-1', '1e1', '', ' 7'])('"%s" is no whole number from 1 to 9', (text) => {
    expect(() => options(`count=${encodeURIComponent(text)}`).whole('count', 1, 9)).toThrow(
      /write a whole number from 1 to 9/,
    )
  })

  it('that are misspelt words are told the nearest; a text of another form is not shown where it may be a secret', () => {
    expect(() => options('mode=fsat').choice('mode', ['slow', 'fast'])).toThrow(/did you mean "fast"/)
    expect(() => options('mode=9').choice('mode', ['slow', 'fast'])).toThrow(/write slow or fast/)
    expect(() => options('name=gehe1m').matching('name', /^\d+$/, 'digits')).toThrow(
      /^(?!.*gehe1m).*bad name; write digits/,
    )
  })
})
