import { KinesisServer } from '@sluice/emulators'
import { expect, it } from 'vitest'
import { Workplace } from './sluice.ts'

it('says in its own terms what Kinesis does not take', async () => {
  await using kinesis = await KinesisServer.start({ quotas: false, stateMs: 0 })
  using here = new Workplace()
  const backend = `kinesis://test:test@eu-west-1?endpoint=${kinesis.url}&mode=polling`
  const create = async (...args: string[]): Promise<string> => {
    const { code, stderr, stdout } = await here.sluice(['topics', 'create', ...args, '-b', backend])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    return stderr
  }
  const where = `  where: kinesis://***@eu-west-1?endpoint=${kinesis.url}&mode=polling`
  expect(await create('t', '--retention', '1h')).toBe(
    [
      'error: invalid-argument',
      '  what:  topic "t" cannot keep its records for 1 hour',
      `${where}, topic t`,
      '  help:  write --retention 1d to 365d',
      '',
    ].join('\n'),
  )
  expect(await create('t', '--retention-bytes', '1GiB')).toMatch(
    /^error: unsupported\n[^]*\n {2}help: {2}leave --retention-bytes out\n$/,
  )
  expect(await create('bad name')).toBe(
    [
      'error: invalid-argument',
      '  what:  "bad name" is no topic name',
      where,
      '  help:  use letters, digits, dot, dash and underscore, and begin with a letter or digit',
      '',
    ].join('\n'),
  )
})
