import { Writable } from 'node:stream'
import { expect, it } from 'vitest'
import { refuseUnknownPartitions, StreamError } from '@sluice/driver'
import type { Position } from '@sluice/driver'
import { processHost, runCli } from '../src/index.ts'
import { formatFailure, safeAddress, toFailure, UsageError } from '../src/failure.ts'
import { bodyLine, showBody } from '../src/show-message.ts'
import { formatTable } from '../src/table.ts'

it('takes the way out from behind the last semicolon of a message', () => {
  const error = new StreamError('not-found', 'topic "a; b" does not exist; create it', { details: { topic: 'a; b' } })
  expect(toFailure(error, 'local:./data')).toEqual({
    code: 'not-found',
    what: 'topic "a; b" does not exist',
    where: 'local:./data, topic a; b',
    help: 'create it',
  })
})

it('what a backend said is quoted whole, with what it has of semicolons', () => {
  const quoted = 'it does not know this call; is the endpoint right? (Unknown: this is one; that is the other)'
  expect(toFailure(new StreamError('invalid-argument', quoted), undefined)).toMatchObject({
    what: 'it does not know this call',
    help: 'is the endpoint right? (Unknown: this is one; that is the other)',
  })
})

it('knows a way out for codes whose message names none', () => {
  expect(toFailure(new StreamError('unavailable', 'connection refused'), undefined)).toMatchObject({
    what: 'connection refused',
    where: undefined,
    help: expect.stringMatching(/check that the backend runs/) as string,
  })
})

it('names commands for what is missing on a topic, not calls of the API', () => {
  let partition: unknown
  try {
    refuseUnknownPartitions({ kind: 'position', positions: { 7: '1' as Position } }, 'orders', () => false)
  } catch (error) {
    partition = error
  }
  expect(toFailure(partition, undefined).help).toBe('see its partitions with `sluice topics describe orders`')
  const group = new StreamError('not-found', 'group "g" is not known on topic "orders"', {
    details: { topic: 'orders', group: 'g' },
  })
  expect(toFailure(group, undefined).help).toBe('see what there is with `sluice groups list orders`')
  expect(toFailure(new StreamError('not-found', 'no such thing'), undefined).help).toMatch(/sluice topics list/)
})

it('says of anything else that it is a defect, and of a bad command line where to look', () => {
  expect(toFailure(new TypeError('x is undefined'), undefined)).toMatchObject({
    code: 'internal',
    help: expect.stringMatching(/report it/) as string,
  })
  expect(toFailure(new UsageError('no'), undefined)).toMatchObject({ code: 'usage', help: 'see sluice --help' })
})

it('keeps the lines of a message under each other', () => {
  const failure = { code: 'invalid-argument', what: 'first\nsecond', where: undefined, help: undefined }
  expect(formatFailure(failure)).toBe('error: invalid-argument\n  what:  first\n         second')
})

it('never shows the address as it was given when it holds a secret', () => {
  const address = 'nats://me:hunter2@host:4222?token=hunter2&mode=eof'
  expect(safeAddress(address)).toBe('nats://***@host:4222?token=***&mode=eof')
  expect(toFailure(new Error(`cannot open ${address}`), address).what).toBe(`cannot open ${safeAddress(address)}`)
  expect(safeAddress('hunter2')).toBe('(not an address)')
  expect(toFailure(new Error('cannot open hunter2'), 'hunter2').what).toBe('cannot open (not an address)')
})

it('shows an example of an address as it is where only its scheme was given', () => {
  expect(toFailure(new Error('no address; write nats://localhost:4222'), 'nats').what).toBe(
    'no address; write nats://localhost:4222',
  )
})

it.each([
  [Buffer.from('{"a":[1, 2]}'), { value: { a: [1, 2] } }, '{"a":[1,2]}'],
  [Buffer.from('plain text'), { text: 'plain text' }, '"plain text"'],
  [Buffer.from([0xff, 0x00]), { base64: '/wA=' }, 'base64:/wA='],
  [Buffer.alloc(0), { text: '' }, '""'],
])('shows the body %s whatever is in it', (body, shown, line) => {
  expect(showBody(body)).toEqual(shown)
  expect(bodyLine(body)).toBe(line)
})

it('aligns tables, with a dash for what is not known', () => {
  const rows = [
    { name: 'orders', ageMs: 5 },
    { name: 'o', ageMs: undefined },
  ]
  expect(formatTable(rows, ['name', 'ageMs'])).toBe('NAME    AGE MS\norders  5\no       -')
})

/** A stream that hands what is written to `write`. */
function stream(write: (text: string) => Error | undefined): NodeJS.WriteStream {
  const made = new Writable({ write: (chunk, _, done) => done(write(String(chunk))) })
  return made as unknown as NodeJS.WriteStream
}

it.each([[['completion', 'bash']], [['--help']]])(
  'fails in a block when the disk that %j writes to is full',
  async (args) => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    let told = ''
    const host = {
      ...processHost(),
      stdout: stream(() => full),
      stderr: stream((text) => void (told += text)),
    }
    const code = await runCli(args, host)
    expect(told).toMatch(/the output cannot be written \(ENOSPC: no space left on device, write\)/)
    expect(code).toBe(1)
  },
)
