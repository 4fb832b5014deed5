import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Workplace } from './sluice.ts'

describe('a command line that makes no sense ends with 2', () => {
  it.each([
    ['an unknown command', ['topcs'], /unknown command 'topcs'; did you mean topics\?\n/],
    ['an unknown option', ['tail', 'a', '--fllow'], /unknown option '--fllow'; did you mean --follow\?\n/],
    ['a missing argument', ['send'], /missing required argument 'topic'/],
    ['no place to start from', ['tail', 'a', '--from', 'soon'], /"soon" is no place to start from; write earliest/],
    ['an argument too many', ['tail', 'a', 'b'], /too many arguments for 'tail'/],
    ['a limit that is no number', ['tail', 'a', '-n', 'many'], /--limit must be a whole number/],
    ['two values to send', ['send', 'a', 'x', '--stdin'], /give a value, or --file, or --stdin/],
    ['no value to send', ['send', 'a'], /give a value, or --file, or --stdin/],
    ['two keys', ['send', 'a', 'x', '-k', 'k', '--key-from', 'id'], /give --key, or --key-from: one of the two/],
    ['a header given twice', ['send', 'a', 'x', '-H', 'n=1', '-H', 'n=2'], /the header "n" is given twice/],
    ['a header without a value', ['send', 'a', 'x', '-H', 'name'], /a header is written name=value/],
    ['a retention without a unit', ['topics', 'create', 'a', '--retention', '7'], /--retention is written like 7d/],
    ['deleting without meaning it', ['topics', 'delete', 'a'], /say --yes if you mean it/],
    ['deleting a group without meaning it', ['groups', 'delete', 'a', 'g'], /say --yes if you mean it/],
    ['nothing to send back', ['dead-letters', 'send-back', 'a'], /name the dead letters to send back, or --all/],
    ['an empty address', ['topics', 'list', '-b', ''], /--backend is given without an address/],
    ['a shell without completion', ['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
  ])('%s', async (_, args, message) => {
    using here = new Workplace()
    const { code, stdout, stderr } = await here.sluice(args)
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/^error: usage\n {2}what: {2}.*\n {2}help: {2}see sluice[a-z -]* --help\n$/)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })
})

it('answers --help and --version on stdout, with 0', async () => {
  using here = new Workplace()
  const [help, version] = [await here.sluice(['--help']), await here.sluice(['--version'])]
  expect(help.stdout).toMatch(/^Usage: sluice/)
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
  expect([help.code, version.code]).toEqual([0, 0])
})

it('has every command in its README', async () => {
  using here = new Workplace()
  const { stdout } = await here.sluice(['--help'])
  const [, list = ''] = stdout.split('Commands:\n')
  const commands = [...list.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name)
  const readme = readFileSync(join(import.meta.dirname, '../README.md'), 'utf8')
  expect(commands).toEqual(expect.arrayContaining(['init', 'doctor', 'plan']))
  expect(commands.filter((name) => name !== 'help' && !readme.includes(`| \`sluice ${name}`))).toEqual([])
})

it('shows the options that every command takes in the help of each', async () => {
  using here = new Workplace()
  const { code, stdout } = await here.sluice(['topics', 'create', '--help'])
  for (const option of ['--partitions', '-b, --backend', '--json', '-q, --quiet']) expect(stdout).toContain(option)
  expect(code).toBe(0)
})

describe('an error is one block: code, what, where, way out', () => {
  it('in words', async () => {
    using here = new Workplace()
    const { code, stderr } = await here.sluice(['tail', 'nowhere', '-b', 'local:./log'])
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^error: not-found\n {2}what: {2}.*nowhere.*\n {2}where: local:\.\/log.*\n {2}help: {2}.+\n$/,
    )
  })

  it('as JSON', async () => {
    using here = new Workplace()
    const { code, stderr } = await here.sluice(['tail', 'nowhere', '--json'])
    expect(code).toBe(1)
    expect(JSON.parse(stderr)).toMatchObject({
      error: { code: 'not-found', where: expect.stringMatching(/local:\.\/data/) as string },
    })
  })

  it.each([
    [['topcs', '--json'], /unknown command 'topcs'/],
    [['topics', '--json'], /the name of a command is missing/],
  ])('as JSON, where the parser makes no sense of %j', async (args, what) => {
    using here = new Workplace()
    const { code, stdout, stderr } = await here.sluice(args)
    expect(JSON.parse(stderr)).toMatchObject({
      error: {
        code: 'usage',
        what: expect.stringMatching(what) as string,
        help: expect.stringMatching(/^see sluice.* --help$/) as string,
      },
    })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  })

  it('without the secrets of the address', async () => {
    using here = new Workplace()
    const secret = 'nothere://user:hunter2@host/x?token=hunter2'
    const byFlag = await here.sluice(['topics', 'list', '-b', secret])
    const byEnvironment = await here.sluice(['topics', 'list', '--json'], { env: { SLUICE_BACKEND: secret } })
    for (const { code, stdout, stderr } of [byFlag, byEnvironment]) {
      expect(code).toBe(1)
      expect(stderr).toMatch(/nothere:\/\/\*\*\*@host/)
      expect(stdout + stderr).not.toMatch(/hunter2/)
    }
  })
})

it('completes commands, subcommands and options in bash', async () => {
  using here = new Workplace()
  const { stdout: script } = await here.sluice(['completion', 'bash'])
  const { execFileSync } = await import('node:child_process')
  const complete = (...words: string[]): string[] => {
    const quoted = words.map((word) => `'${word}'`).join(' ')
    const program = `${script}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _sluice; echo "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', program], { encoding: 'utf8', timeout: 5_000 }).trim().split(' ')
  }
  expect(complete('sluice', 'top')).toEqual(['topics'])
  expect(complete('sluice', 'topics', '')).toEqual(
    expect.arrayContaining(['list', 'create', 'describe', 'grow', 'delete']),
  )
  expect(complete('sluice', 'topics', 'create', 'orders', '--ret')).toEqual(['--retention', '--retention-bytes'])
  expect(complete('sluice', 'groups', 'lag', 'orders', '--a')).toEqual(['--all'])
  expect(complete('sluice', 'send', 'orders', '--par')).toEqual(['--partition'])
  expect(complete('sluice', 'completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']))
  expect(complete('sluice', 'emulators', 'up', 'k')).toEqual(['kinesis'])
  // What is no command is an argument; what follows an option may be its value.
  expect(complete('sluice', 'foo', 'ta')).toEqual(['tail'])
  expect(complete('sluice', '--backend', 'local:./data', 'top')).toEqual(['topics'])
  expect(complete('sluice', 'tail', 'orders', '--from', '')).toEqual([''])
  expect(complete('sluice', 'tail', 'orders', '--ba')).toEqual(['--backend'])
  expect(complete('sluice', 'help', 'co')).toEqual(['conformance', 'completion'])
})

it.each(['zsh', 'fish'])('writes a completion script for %s that knows the commands', async (shell) => {
  using here = new Workplace()
  const { stdout } = await here.sluice(['completion', shell])
  for (const word of ['topics', 'dead-letters', 'conformance']) expect(stdout).toContain(word)
})
