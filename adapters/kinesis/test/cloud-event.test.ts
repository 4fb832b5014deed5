import { describe, expect, it } from 'vitest'
import { decodeEvent } from '../src/cloud-event.ts'

const attributes = '"specversion":"1.0","id":"1","source":"shop","type":"paid"'

/** The body of an event; `undefined`: it is none. */
function bodyOf(event: string | Buffer): string | undefined {
  const read = decodeEvent(Buffer.from(event), 'customer-7')
  return read === undefined ? undefined : Buffer.from(read.body).toString()
}

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
  })

  it('is decoded where it is base64, and empty where there is none', () => {
    expect(bodyOf(`{${attributes},"data_base64":"YQ=="}`)).toBe('a')
    expect(bodyOf(`{${attributes}}`)).toBe('')
  })

  it('is found behind many members, and however long and deep it is', () => {
    const data = `[${`${'['.repeat(500)}"\\\\\\"{"${']'.repeat(500)},`.repeat(500)}1.10]`
    const members = Array.from({ length: 20_000 }, (_, at) => `"d\\u0061t${at}":${at}`).join(',')
    expect(bodyOf(`{${members},"data":${data},${attributes}}`)).toBe(data)
  })
})
