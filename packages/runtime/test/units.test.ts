import { expect, it } from 'vitest'
import { parseDuration, parseSize } from '@sluice/runtime'

it.each([
  ['250ms', 250],
  ['5s', 5_000],
  ['30m', 1_800_000],
  ['12h', 43_200_000],
  ['7d', 604_800_000],
  ['1h30m', 5_400_000],
  ['1.5h', 5_400_000],
  ['7', undefined],
  ['7 days', undefined],
  ['', undefined],
  ['-5s', undefined],
])('reads the duration %s as %s milliseconds', (text, expected) => {
  expect(parseDuration(text)).toBe(expected)
})

it.each([
  ['0B', 0],
  ['10MB', 10_000_000],
  ['1GiB', 1_073_741_824],
  ['1.5 KiB', 1_536],
  ['1', undefined],
  ['1gb', undefined],
  ['1GiBs', undefined],
])('reads the size %s as %s bytes', (text, expected) => {
  expect(parseSize(text)).toBe(expected)
})
