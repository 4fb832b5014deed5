import { DynamoDbServer, freePort, KinesisServer } from '@sluice/emulators'
import { describe, expect, it } from 'vitest'
import { Workplace } from './sluice.ts'

const files = {
  'sluice.yaml': `backend: local:./data
topics: { a: { retention: 7d }, b: { order: none } }
functions: { copy: { from: a, to: b, use: ./copy.mjs, delivery: exactly-once } }
`,
  'copy.mjs': 'export const copy = { name: "copy", handle: (message) => ({ value: message.value }) }\n',
}

describe('sluice doctor', () => {
  it('says what answers, what it can, and that a pipeline has all it needs', async () => {
    using here = new Workplace(files)
    const { code, stdout, stderr } = await here.sluice(['doctor'])
    expect(stdout).toMatch(/^local:\.*\/.*data: SQLite 3\.\d+\.\d+ in Node \d+.*, answered in \d+ ms\n/)
    expect(stdout).toMatch(/\nshapes +key log, none queue\n/)
    expect(stdout).toMatch(/\ntransactions +yes\n/)
    expect(stdout).toMatch(/\nmaxRecordBytes +16777216\n/)
    expect([code, stderr]).toEqual([0, expect.stringContaining('the backend has everything it needs')])
  })

  it('names what is missing, and ends with 1', async () => {
    using here = new Workplace(files)
    const { code, stdout } = await here.sluice(['doctor', '.', '-b', 'memory:?profile=no-positions'])
    expect(stdout).toContain(
      'missing: function copy: memory cannot store outputs and progress in one transaction; use delivery: at-least-once',
    )
    expect(code).toBe(1)
  })

  it('tells in JSON, and without a pipeline', async () => {
    using here = new Workplace()
    const { code, stdout } = await here.sluice(['doctor', '--json', '-b', 'memory:'])
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'backend', address: 'memory:', limits: { maxHeaders: 64 } })
    expect(code).toBe(0)
  })

  it('asks what only consumers need: of Kinesis, the service that keeps the leases', async () => {
    using here = new Workplace()
    await using server = await KinesisServer.start()
    const address = (dynamo: string): string =>
      `kinesis://A:b@eu-west-1?endpoint=${server.url}&dynamoEndpoint=${dynamo}&requestTimeoutMs=2000`
    const gone = await here.sluice(['doctor', '-b', address(`http://127.0.0.1:${await freePort()}`)])
    expect(gone.stdout).toContain('Amazon Kinesis Data Streams')
    expect(gone.stderr).toContain('reach DynamoDB, which keeps leases, failed: the endpoint cannot be reached')
    expect(gone.code).toBe(1)
    await using leases = await DynamoDbServer.start()
    expect(await here.sluice(['doctor', '-b', address(leases.url)])).toMatchObject({ code: 0 })
  })

  it('of a backend that cannot be opened is an error block', async () => {
    using here = new Workplace({ data: 'a file' })
    const { code, stderr } = await here.sluice(['doctor', '-b', 'local:./data'])
    expect(stderr).toMatch(/^error: /)
    expect(code).toBe(1)
  })
})

describe('sluice plan', () => {
  it('tells what a move changes, what is missing first', async () => {
    using here = new Workplace(files)
    const { code, stdout } = await here.sluice(['plan', '.', '--to', 'memory:?profile=no-positions'])
    const lines = stdout.trim().split('\n')
    expect(lines[0]).toMatch(/^missing: function copy: /)
    expect(lines.slice(1)).toContain(
      'differs: messages carry no position; do not store or compare message.position; replay by time',
    )
    expect(lines.slice(1).every((line) => line.startsWith('differs: '))).toBe(true)
    expect(code).toBe(1)
  })

  it('says so when nothing changes, and makes nothing', async () => {
    using here = new Workplace(files)
    const { code, stdout, stderr } = await here.sluice(['plan', '--to', 'local:./elsewhere'])
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toContain('nothing changes for it')
    const topics = await here.sluice(['topics', 'list', '-b', 'local:./elsewhere'])
    expect(topics.stdout).toBe('')
  })

  it('wants to know where to', async () => {
    using here = new Workplace(files)
    const { code, stderr } = await here.sluice(['plan'])
    expect([code, stderr]).toEqual([2, expect.stringContaining('say where to: --to')])
  })
})
