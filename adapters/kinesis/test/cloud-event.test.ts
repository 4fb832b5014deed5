import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { OutgoingRecord } from '@sluice/driver'
import { decodeEvent, encodeEvent } from '../src/cloud-event.ts'
import { outgoing } from './fixtures.ts'

const attributes = '"specversion":"1.0","id":"1","source":"shop","type":"paid"'

/** The body of an event; `undefined`: it is none. */
function bodyOf(event: string | Buffer): string | undefined {
  const read = decodeEvent(Buffer.from(event), 'customer-7')
  return read === undefined ? undefined : Buffer.from(read.body).toString()
}

/** An event of ours as other programs see it. */
function seen(changes: Partial<OutgoingRecord>): Readonly<Record<string, unknown>> {
  return JSON.parse(encodeEvent(outgoing(changes)).toString()) as Readonly<Record<string, unknown>>
}

describe('an event of ours', () => {
  it('has its value as JSON and says so, where no header says otherwise', () => {
    const body = Buffer.from('{"a":[1,"ü🙂",null,1e+21]}')
    expect(seen({ body, headers: { traceparent: '00-0af7-b7ad-01', other: 'a' }, expiresAtMs: -1 })).toEqual({
      specversion: '1.0',
      id: outgoing().id,
      source: 'sluice',
      type: 'sluice.record',
      time: '2023-11-14T22:13:20.000Z',
      partitionkey: 'customer-7',
      expirytime: '1969-12-31T23:59:59.999Z',
      traceparent: '00-0af7-b7ad-01',
      sluiceheaders: '{"other":"a"}',
      datacontenttype: 'application/json',
      data: { a: [1, 'ü🙂', null, 1e21] },
    })
  })

  it.each(['application/json; charset=utf-8', 'application/vnd.shop.v1+json', 'text/json', 'Application/JSON'])(
    'has JSON under any name as JSON: %s',
    (contentType) => {
      const event = seen({ body: Buffer.from('{"a":1}'), headers: { 'content-type': contentType } })
      expect(event).toMatchObject({ datacontenttype: contentType, data: { a: 1 } })
    },
  )

  it.each(['1.0', ' 1', '{"b":1,"1":2}', '{"a":1,"a":2}', String.raw`"\u2028"`, '12345678901234567890', '1e400', '-0'])(
    'has JSON that a reader would change in base64, and says that it is JSON: %s',
    (text) => {
      const event = seen({ body: Buffer.from(text) })
      expect(event).toMatchObject({
        datacontenttype: 'application/json',
        data_base64: Buffer.from(text).toString('base64'),
      })
      expect(event).not.toHaveProperty('data')
    },
  )

  it.each(['{"a":', '', '\ufeff1', Buffer.from([0x22, 0xff, 0x22])])(
    'says nothing of bytes of which nobody did: %j',
    (bytes) => {
      const event = seen({ body: Buffer.from(bytes) })
      expect(event['data_base64']).toBe(Buffer.from(bytes).toString('base64'))
      expect([event['datacontenttype'], event['data']]).toEqual([undefined, undefined])
    },
  )

  it.each(['text/plain', 'application/json-seq', 'application/octet-stream'])('has %s in base64', (contentType) => {
    const event = seen({ body: Buffer.from('1'), headers: { 'content-type': contentType } })
    expect(event).toMatchObject({ datacontenttype: contentType, data_base64: 'MQ==' })
  })

  const odd = [
    '1.0',
    '-0',
    '1e400',
    '12345678901234567890',
    '1'.repeat(400),
    ' {"a" : 1 }\n',
    '\ufeff{}',
    'null',
    '""',
    '{"b":1,"1":2}',
    '{"__proto__":1}',
    '{"a":1,"a":2}',
    '{"data":1,"data_base64":"YQ==","specversion":"1.0"}',
    String.raw`"\u2028"`,
    '"\u2028"',
    String.raw`"\ud800"`,
    String.raw`"\uDFFF\ud800"`,
    '[['.repeat(5_000),
    `${'['.repeat(20_000)}${']'.repeat(20_000)}`,
    '{"toJSON":1}',
    String.raw`{"\u0000":"\/"}`,
  ]
  const bodies = fc.oneof(
    fc.uint8Array({ maxLength: 32 }),
    fc.json().map((text) => Buffer.from(text)),
    fc.string({ unit: 'binary' }).map((text) => Buffer.from(JSON.stringify(text))),
    fc.stringMatching(/^[{}[\]:,"\\udb8 01.e+nul-]{0,24}$/).map((text) => Buffer.from(text)),
    fc.constantFrom(...odd).map((text) => Buffer.from(text)),
  )
  const text = fc.string({ unit: 'grapheme', maxLength: 8 })
  const contentTypes = [
    'application/json',
    'application/a+json; v=1',
    'text/json',
    'text/plain',
    'application/json-seq',
  ]
  const records = fc.record({
    body: bodies,
    id: fc.stringMatching(/^[\x21-\x7e]{1,128}$/),
    key: fc.option(text, { nil: undefined }),
    expiresAtMs: fc.option(fc.integer({ min: -8.64e15, max: 8.64e15 }), { nil: undefined }),
    headers: fc
      .record({
        'content-type': fc.constantFrom(undefined, ...contentTypes),
        traceparent: fc.constantFrom(undefined, '00-0af7-b7ad-01'),
        data: fc.option(text, { nil: undefined }),
        'x.other-one_': fc.option(text, { nil: undefined }),
      })
      .map((all) =>
        Object.fromEntries(
          Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
        ),
      ),
  })

  it('comes back byte for byte, with its id, its key, its headers and its expiry', () => {
    fc.assert(
      fc.property(records, (changes) => {
        const { body, ...read } = decodeEvent(encodeEvent(outgoing(changes)), 'drawn') ?? { body: [] }
        const { body: sent, ...others } = changes
        expect(read).toEqual(others)
        expect(Buffer.from(body).equals(sent)).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('the data of an event of another program', () => {
  it.each([
    ['an integer beyond 2^53', '9007199254740993'],
    ['a number beyond all doubles', '1e400'],
    ['a number with a zero at its end', '1.10'],
    ['minus nought', '-0'],
    ['names that look like numbers', '{"b":1,"10":2,"2":3}'],
    ['a name that stands there twice', '{"a":1,"a":2}'],
    ['white space inside', '{ "a" :\r\n\t[ 1 , 2 ] }'],
    ['escapes that are not needed', String.raw`"\u0061\/"`],
    ['half a surrogate pair', String.raw`"\ud83d"`],
    ['quotes and brackets in strings', String.raw`{"a}\"":["]\\",{"data":"{[\\\""}],"\\":"\","}`],
    ['the members of an event', `{${attributes},"data":[{"data":2}]}`],
    ['characters that are not ASCII', '{"ключ":"🙂"}'],
    ['an empty object', '{}'],
    ['an empty array', '[]'],
    ['an empty string', '""'],
    ['null', 'null'],
    ['true', 'true'],
  ])('is left as it was written: %s', (_name, data) => {
    JSON.parse(data)
    expect(bodyOf(`{${attributes},"data":${data}}`)).toBe(data)
    expect(bodyOf(`{"data":${data},${attributes}}`)).toBe(data)
    expect(bodyOf(` {\n${attributes} ,\n"data" :\r\n\t ${data} \n, "more":{"data":[]}} \n`)).toBe(data)
  })

  it('is that of the last member of the name, escaped or not', () => {
    expect(bodyOf(`{"data":{"a":1},${attributes},"data":1.10}`)).toBe('1.10')
    expect(bodyOf(`{"data":1,${attributes},"d\\u0061ta":1.10}`)).toBe('1.10')
    expect(bodyOf(`{"\\u0064ata":1,${attributes},"data":1.10}`)).toBe('1.10')
  })

  it('is no member that is named alike, or is deeper, or is a value', () => {
    const others = String.raw`"Data":1,"data ":2,"dat":3,"data\\":4,"\"data":5,"":6,"x":{"data":7},"y":[{"data":8}],"z":"data"`
    expect(bodyOf(`{"data":1.10,${attributes},${others}}`)).toBe('1.10')
    expect(bodyOf(`{${others},${attributes}}`)).toBe('')
  })

  it('keeps bytes that are no UTF-8', () => {
    const data = Buffer.from([0x22, 0xff, 0xc3, 0x22])
    const event = Buffer.concat([Buffer.from(`{${attributes},"data":`), data, Buffer.from(',"more":1}')])
    expect(Buffer.from(decodeEvent(event, undefined)?.body ?? [])).toEqual(data)
  })

  it('is the text itself where it is a string and the content type is not JSON', () => {
    expect(bodyOf(`{${attributes},"datacontenttype":"text/xml","data":"<a b=\\"c\\"/>"}`)).toBe('<a b="c"/>')
    expect(bodyOf(`{${attributes},"datacontenttype":"text/xml","data":{"a":1.10}}`)).toBe('{"a":1.10}')
    expect(bodyOf(`{${attributes},"datacontenttype":"application/json","data":"a"}`)).toBe('"a"')
    expect(bodyOf(`{${attributes},"data":"a"}`)).toBe('"a"')
    expect(bodyOf(`{${attributes},"datacontenttype":"text/json","data":"a"}`)).toBe('"a"')
    expect(bodyOf(`{${attributes},"datacontenttype":"application/json-seq","data":"a"}`)).toBe('a')
  })

  it('is decoded where it is base64, and empty where there is none', () => {
    expect(bodyOf(`{${attributes},"data_base64":"YQ=="}`)).toBe('a')
    expect(bodyOf(`{${attributes},"data":1.10,"data_base64":null}`)).toBe('1.10')
    expect(bodyOf(`{${attributes}}`)).toBe('')
  })

  it('is found behind many members, and however long and deep it is', () => {
    const data = `[${`${'['.repeat(500)}"\\\\\\"{"${']'.repeat(500)},`.repeat(500)}1.10]`
    const members = Array.from({ length: 20_000 }, (_, at) => `"d\\u0061t${at}":${at}`).join(',')
    expect(bodyOf(`{${members},"data":${data},${attributes}}`)).toBe(data)
  })
})
