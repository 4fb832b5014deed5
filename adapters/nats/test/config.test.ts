import { expect, it } from 'vitest'
import { parseBackendUrl } from '@sluice/driver'
import { parseConfig } from '../src/config.ts'

it('reads host and options', () => {
  expect(parseConfig(parseBackendUrl('nats://localhost:1?requestTimeoutMs=5'))).toEqual({
    host: 'localhost:1',
    requestTimeoutMs: 5,
  })
})

it('names the nearest option for one it does not know', () => {
  expect(() => parseConfig(parseBackendUrl('nats://h?requestTimeoutMS=5'))).toThrow(/did you mean "requestTimeoutMs"/)
})
