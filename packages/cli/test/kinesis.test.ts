import { DynamoDbServer, KinesisServer } from '@sluice/emulators'
import { expect, it } from 'vitest'
import { Workplace } from './sluice.ts'

it('leaves out the shards that resharding has ended, unless --all is said', async () => {
  await using kinesis = await KinesisServer.start({ quotas: false, stateMs: 0 })
  await using dynamo = await DynamoDbServer.start()
  using here = new Workplace()
  const backend = `kinesis://test:test@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${dynamo.url}`
  const sluice = (...args: string[]): ReturnType<Workplace['sluice']> => here.sluice([...args, '-b', backend])
  await sluice('topics', 'create', 'orders', '--partitions', '1')
  await sluice('topics', 'grow', 'orders', '2')
  await sluice('groups', 'seek', 'orders', 'billing', 'latest', '--create')
  for (const command of [
    ['topics', 'describe', 'orders'],
    ['groups', 'lag', 'orders'],
  ]) {
    const usual = await sluice(...command)
    expect(usual.stderr).toBe('left out: 1 partition that ended; see all with --all\n')
    expect(usual.stdout).not.toContain('shardId-000000000000 ')
    expect(usual.stdout).toMatch(/shardId-000000000001 [^]*shardId-000000000002 /)
    const all = await sluice(...command, '--all')
    expect(all).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('shardId-000000000000 ') as string,
    })
    const json = await sluice(...command, '--json')
    expect(json).toMatchObject({ stderr: '', stdout: expect.stringContaining('"shardId-000000000000"') as string })
  }
})

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
