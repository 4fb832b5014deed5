import { runInNewContext } from 'node:vm'
import * as fc from 'fast-check'
import { StreamError } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { connect, json } from '../src/index.ts'

const refusalOf = (value: unknown): string => {
  try {
    json.encode(value)
  } catch (error) {
    if (StreamError.is(error, 'invalid-argument')) return error.message
    throw error
  }
  throw new Error('it was not refused')
}

const deep = (value: unknown): unknown => {
  let nested = value
  for (let level = 0; level < 1_000; level++) nested = level % 2 === 0 ? [nested] : { nested }
  return nested
}

describe('the JSON codec', () => {
  it.each<[string, unknown]>([
    ['NaN', Number.NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity],
    ['NaN', new Number(Number.NaN)],
    ['a Map', new Map([['a', 1]])],
    ['a Map', new Map()],
    ['a Map', runInNewContext('new Map([[1, 2]])')],
    ['a Set', new Set([1])],
    ['an invalid Date', new Date(Number.NaN)],
    ['NaN', { toJSON: () => Number.NaN }],
    ['a Promise', Promise.resolve(1)],
    // oxlint-disable-next-line unicorn/no-thenable -- as a library's own promise is one
    ['a Promise', { then: () => undefined }],
    ['a RegExp', /x/],
    ['an Error', Object.assign(new Error('x'), { code: 'E' })],
    ['an Error', runInNewContext('new TypeError()')],
    ['a WeakMap', new WeakMap()],
    ['binary data', new Uint8Array(2)],
    ['binary data', new DataView(new ArrayBuffer(2))],
    ['binary data', new ArrayBuffer(2)],
    ['a generator', (function* () {})()],
    ['a symbol', Object(Symbol('s'))],
    ['an object of type Headers', new Headers({ a: '1' })],
    ['an object of type URLSearchParams', new URLSearchParams('a=1')],
    ['an object of type Array Iterator', [1].values()],
    ['an object of type WeakRef', new WeakRef({})],
  ])('refuses %s, at any depth, and says where', (what, value) => {
    expect(refusalOf(value)).toMatch(new RegExp(`^JSON cannot hold ${what} and would change it or leave it out; `))
    expect(refusalOf({ id: 'a', items: [{ n: 1 }, { price: value }] })).toContain(`${what} at "items.1.price" and`)
    expect(refusalOf([null, {}, { toJSON: () => [value] }])).toContain(`${what} at "2.0"`)
    expect(refusalOf(deep(value))).toContain(what)
  })

  it.each<[string, unknown, string]>([
    ['null and empty objects', { a: null, b: {}, c: [null, {}] }, '{"a":null,"b":{},"c":[null,{}]}'],
    ['texts that look like them', ['null', '{}'], '["null","{}"]'],
    ['dates', { at: new Date(0), a: null }, '{"at":"1970-01-01T00:00:00.000Z","a":null}'],
    ['what has toJSON', { a: { toJSON: (key: string) => [key, null] } }, '{"a":["a",null]}'],
    ['a function that has toJSON', { a: Object.assign(() => 1, { toJSON: () => 'f' }) }, '{"a":"f"}'],
    ['boxed primitives', [new String(''), new Boolean(false), new Number(1)], '["",false,1]'],
    ['a Map that knows how', Object.assign(new Map([[1, 2]]), { toJSON: () => ({}) }), '{}'],
    ['members that are undefined, as JSON does', [{ a: undefined, b: 1 }], '[{"b":1}]'],
    ['-0, as JSON does', { n: -0 }, '{"n":0}'],
    ['a Buffer, which has toJSON', Buffer.from('a'), '{"type":"Buffer","data":[97]}'],
    [
      'an object of a class',
      new (class Price {
        cents = 1
      })(),
      '{"cents":1}',
    ],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    ['what JSON does not look at', { a: null, [Symbol('s')]: Number.NaN }, '{"a":null}'],
  ])('takes %s', (_, value, stored) => {
    expect(Buffer.from(json.encode(value)).toString()).toBe(stored)
  })

  it.each<[string, unknown]>([
    ['undefined at "1"', [1, undefined]],
    // oxlint-disable-next-line no-sparse-arrays -- a hole is what is tested
    ['undefined at "tags.1"', { tags: [1, , 3] }],
    ['a symbol at "tags.0"', { tags: [Symbol('s')] }],
    ['a function at "0"', [() => 1]],
    ['a function at "a.run"', { a: { run: () => 1 } }],
    ['a symbol at "s"', { s: Symbol('s') }],
    ['undefined at "0"', [{ toJSON: () => undefined }]],
    [
      'a function at "on"',
      new (class Button {
        on = (): void => undefined
      })(),
    ],
  ])('refuses %s', (what, value) => {
    expect(refusalOf(value)).toContain(`JSON cannot hold ${what} and`)
  })

  it('takes whatever JSON gives back the same', () => {
    const comesBack = fc.property(fc.jsonValue(), (value) => {
      expect(json.decode(json.encode(value))).toEqual(JSON.parse(JSON.stringify(value)))
    })
    fc.assert(comesBack)
  })

  it('refuses a send before anything is stored', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t')
    await expect(topic.send({ value: { tags: new Set(['a']) } })).rejects.toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('a Set at "tags"') as string,
    })
    expect(await Array.fromAsync(topic.read())).toEqual([])
  })
})

it('says that bytes are no JSON without showing them', () => {
  const secret = new TextEncoder().encode('password=hunter2')
  expect(() => json.decode(secret)).toThrow(/^these 16 characters are no JSON/)
  expect(() => json.decode(secret)).toThrow(/^(?!.*hunter2)/s)
})
