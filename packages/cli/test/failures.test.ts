import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { toFailure } from '../src/failure.ts'
import { isNodeSupported } from '../src/node-version.ts'
import { Workplace } from './sluice.ts'

describe('a mistake that comes as a native error is a block with a fitting code', () => {
  it('a file to send that is not there, before anything is made', async () => {
    using here = new Workplace()
    const { code, stdout, stderr } = await here.sluice(['send', 'orders', '--create', '--file', 'gone.ndjson'])
    expect(stderr).toBe(
      [
        'error: not-found',
        '  what:  there is no file or folder "gone.ndjson"',
        `  where: ${join(here.path, 'gone.ndjson')}`,
        '  help:  check the path; it starts where the command runs',
        '',
      ].join('\n'),
    )
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(existsSync(join(here.path, 'data'))).toBe(false)
  })

  it('a folder where a file is meant, and a file where a folder is', async () => {
    using here = new Workplace({ 'notes.txt': 'x', 'folder/sluice.yaml/x': 'x' })
    for (const [args, message] of [
      [
        ['send', 'o', '--create', '-f', 'folder'],
        /^error: invalid-argument\n {2}what: {2}cannot read .*it is a folder\n/,
      ],
      [
        ['init', 'notes.txt/below'],
        /^error: invalid-argument\n {2}what: {2}a part of ".*below" is a file, not a folder\n/,
      ],
      // Where nothing can be made, Node's own recursive mkdir does not end.
      [
        ['init', '/proc/nope/below'],
        /^error: invalid-argument\n {2}what: {2}no folder can be made in \/proc\n {2}where: \/proc\/nope\n/,
      ],
      [['run', 'folder'], /^error: invalid-argument\n {2}what: {2}folder\/sluice\.yaml cannot be read \(EISDIR/],
    ] as const) {
      const { code, stderr } = await here.sluice(args)
      expect(stderr).toMatch(message)
      expect(stderr).not.toMatch(/report/)
      expect(code).toBe(1)
    }
  })

  it.each([
    ['EACCES', 'permission-denied', 'this user may not open "./secret.yaml"', /check the rights/],
    ['EPERM', 'permission-denied', 'this user may not open "./secret.yaml"', /another account/],
    ['EROFS', 'permission-denied', '"./secret.yaml" is on a read-only file system', /another folder/],
    ['ENOSPC', 'unavailable', 'the disk is full: cannot open "./secret.yaml"', /free some space/],
    ['EMFILE', 'unavailable', 'EMFILE: as Node says it', /check that/],
  ])('%s', (native, code, what, help) => {
    const error = Object.assign(new Error(`${native}: as Node says it`), {
      code: native,
      syscall: 'open',
      path: './secret.yaml',
    })
    const failure = toFailure(error, 'local:./data')
    expect(failure).toEqual({
      code,
      what,
      where: join(process.cwd(), 'secret.yaml'),
      help: expect.any(String) as string,
    })
    expect(failure.help).toMatch(help)
  })

  it('a defect stays one, and asks for a report', () => {
    const failure = toFailure(new TypeError('x is not a function'), undefined)
    expect(failure).toMatchObject({ code: 'internal', what: 'x is not a function' })
    expect(failure.help).toMatch(/report/)
  })
})

describe('a Node that is too old', () => {
  /** Makes the process take itself for an old one; whatever is imported then would come too early. */
  const pretend = (version: string): string =>
    `data:text/javascript,${encodeURIComponent(`
      import { registerHooks } from 'node:module'
      Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })
      registerHooks({
        load(url, context, next) {
          if (!url.startsWith('data:') && !/\\/(main|node-version)\\.ts$/.test(url)) console.log('imported ' + url)
          return next(url, context)
        },
      })
    `)}`

  it('is told what is needed and what there is, before anything else is imported', async () => {
    using here = new Workplace()
    const env = { NODE_OPTIONS: `--import=${pretend('20.19.4')}` }
    const { code, stdout, stderr } = await here.sluice(['topics', 'list'], { env })
    expect(stderr).toMatch(
      /^error: unsupported\n {2}what: {2}sluice needs Node 22\.13 or later; this is Node 20\.19\.4\n {2}where: \/.+\n {2}help: {2}install Node 24.+\n$/,
    )
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    const json = await here.sluice(['topics', 'list', '--json'], { env })
    expect(JSON.parse(json.stderr)).toMatchObject({
      error: { code: 'unsupported', what: expect.stringMatching(/20\.19\.4/) as string },
    })
  })

  it.each([
    ['22.13.0', true],
    ['22.20.1', true],
    ['24.0.0', true],
    ['23.1.0', true],
    ['22.12.0', false],
    ['20.19.4', false],
    ['18.0.0', false],
  ])('%s can run the command: %s', (version, expected) => {
    expect(isNodeSupported(version)).toBe(expected)
  })
})
