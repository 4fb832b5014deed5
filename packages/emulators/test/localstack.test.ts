import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb'
import { KinesisClient, ListStreamsCommand } from '@aws-sdk/client-kinesis'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { eventually } from '@sluice/driver/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findLocalStack, LocalStackServer } from '../src/index.ts'
import { script, temporaryFolder } from './files.ts'
import { localStackFor } from './found.ts'

/** Says of itself what a LocalStack does. */
async function pretender(): Promise<string> {
  const health = { version: '4.1.0', services: { kinesis: 'running', dynamodb: 'running' } }
  const server = createServer((_, response) => response.end(JSON.stringify(health)))
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** An installation of which the Python is a script. */
function installation(cache: string, version: string, python: string): string {
  const folder = join(cache, `localstack-${version}`)
  script(join(folder, 'venv', 'bin'), 'python', python)
  return folder
}

/** What it takes to install one, as scripts: what `python` says of its version, and what its packages are asked for. */
function tools(python: string, pip: string): { readonly bin: string; readonly cache: string } {
  const folder = temporaryFolder()
  const bin = join(folder, 'bin')
  const ofVenv = String.raw`#!/bin/sh\nif [ "$2" = pip ]; then ${pip}; else echo 4.0.0; fi\n`
  script(
    bin,
    'python3',
    `if [ "$2" = venv ]; then /bin/mkdir -p "$3/bin"; printf '${ofVenv}' > "$3/bin/python"; /bin/chmod 755 "$3/bin/python"
     else echo ${python}; fi`,
  )
  script(bin, 'npm', 'exit 0')
  script(bin, 'java', `echo "  java.home = ${folder}/jdk"; echo "  java.specification.version = 17"`)
  for (const tool of ['javac', 'jar']) script(join(folder, 'jdk', 'bin'), tool, 'exit 0')
  script(
    bin,
    'mvn',
    `for option; do case "$option" in -DoutputDirectory=*) to="\${option#*=}"; esac; done
     /bin/mkdir -p "$to"; for n in 1 2 3; do echo > "$to/library-$n.0.jar"; done; echo > "$to/libsqlite4java-linux-amd64-1.0.392.so"`,
  )
  return { bin, cache: join(folder, 'cache') }
}

describe('a LocalStack is found', () => {
  it('where one runs, before one that was installed, the newest first', async () => {
    const cache = temporaryFolder()
    installation(cache, '4.9.2', 'echo 4.9.2')
    const newer = installation(cache, '4.14.0', 'echo 4.14.0')
    installation(cache, '5.0.0', 'echo "No module named localstack"; exit 1')
    const path = await pretender()
    const given = { path, how: 'given', version: '4.1.0' }
    expect(await findLocalStack({ env: { LOCALSTACK_ENDPOINT: path }, cache })).toEqual(given)
    expect(await findLocalStack({ env: {}, cache })).toEqual({ path: newer, how: 'cache', version: '4.14.0' })
  })

  it('nowhere: then it says what it looked at, and everything that is missing to install one', async () => {
    const cache = temporaryFolder()
    const broken = installation(cache, '4.14.0', 'echo "No module named localstack"; exit 1')
    const env = { LOCALSTACK_ENDPOINT: 'http://127.0.0.1:9', PATH: cache }
    expect(await findLocalStack({ env, cache, provide: true })).toEqual({
      tried: [
        'no LocalStack answers at http://127.0.0.1:9',
        `${broken} holds no LocalStack: No module named localstack`,
        `none was installed into ${cache} before`,
        'no Python of 3.13, 3.12, 3.11 with ensurepip and ssl, on PATH or by pyenv',
        'no java on PATH; a JDK of 17 or newer is needed',
        'no npm on PATH to install kinesis-mock with',
        'no mvn on PATH to fetch DynamoDB Local with',
        'no docker on PATH',
      ],
    })
  })

  it.each([
    ['3.13', '4.14.0'],
    ['3.11', '4.9.2'],
  ])('to install on Python %s in version %s, which stays', async (python, version) => {
    const { bin, cache } = tools(python, 'echo "$@" > asked')
    const env = { PATH: bin, PYENV_ROOT: cache }
    // One that is broken gives way.
    const folder = installation(cache, version, 'exit 1')
    const kept = { path: folder, version: '4.0.0' }
    expect(await findLocalStack({ env, cache, provide: true })).toEqual({ ...kept, how: 'pip' })
    expect(await findLocalStack({ env: {}, cache })).toEqual({ ...kept, how: 'cache' })
    expect(readdirSync(cache)).toEqual([`localstack-${version}`])
    expect(readFileSync(join(folder, 'asked'), 'utf8')).toContain(`localstack-core[runtime]==${version}`)
    expect(readlinkSync(join(folder, 'lib', 'java', '21'))).toBe(join(bin, '..', 'jdk'))
    const dynamoDb = join(folder, 'lib', 'dynamodb-local', '2')
    expect(readdirSync(join(dynamoDb, 'DynamoDBLocal_lib'))).toContain('libsqlite4java-linux-amd64.so')
    // Lines of a manifest are 72 bytes at most, and go on after a space.
    const manifest = readFileSync(join(dynamoDb, 'src', 'main.mf'), 'utf8')
    expect(Math.max(...manifest.split('\n').map((line) => line.length))).toBeLessThanOrEqual(72)
    const jars = [1, 2, 3].map((n) => `DynamoDBLocal_lib/library-${n}.0.jar`).join(' ')
    expect(manifest.replaceAll('\n ', '')).toContain(`Class-Path: ${jars}\n`)
  })

  it('not when its packages cannot be had; then nothing is left of it', async () => {
    const { bin, cache } = tools('3.12', 'echo "no such package"; exit 1')
    const found = await findLocalStack({ env: { PATH: bin, PYENV_ROOT: cache }, cache, provide: true })
    expect('tried' in found ? found.tried : []).toContainEqual(
      expect.stringMatching(/4\.9\.2 failed: no such package$/),
    )
    expect(readdirSync(cache)).toEqual([])
  })
})

describe('a LocalStack', () => {
  it('that was given is used, and goes on', async () => {
    const path = await pretender()
    const server = await LocalStackServer.start({ path, how: 'given', version: '4.1.0' }, { env: {} })
    expect([server.url, server.version]).toEqual([path, '4.1.0'])
    await server.close()
    expect((await fetch(path)).status).toBe(200)
  })

  it('that does not come up tells its last words', async () => {
    const path = installation(temporaryFolder(), '4.0.0', 'echo "cannot bind"; exit 7')
    const starting = LocalStackServer.start({ path, how: 'cache', version: '4.0.0' }, { env: {} })
    await expect(starting).rejects.toThrow(/ended with 7; it said: cannot bind/)
  })

  it('that never answers is given up, and leaves no process behind', async () => {
    const folder = temporaryFolder()
    const path = installation(folder, '4.0.0', `/bin/sleep 600 & echo $$ $! > ${folder}/pids; wait`)
    const starting = LocalStackServer.start({ path, how: 'cache', version: '4.0.0' }, { env: {}, readyMs: 300 })
    await expect(starting).rejects.toThrow(/not ready in 300 ms/)
    const pids = readFileSync(join(folder, 'pids'), 'utf8').trim().split(' ').map(Number)
    expect(pids).toHaveLength(2)
    expect(alive().filter(({ pid }) => pids.includes(pid))).toEqual([])
  })

  it(
    'starts, answers for Kinesis and DynamoDB, and ends with all it has started',
    { timeout: 90_000 },
    async (context) => {
      const found = await localStackFor({ ...process.env, LOCALSTACK_ENDPOINT: undefined })
      if (typeof found === 'string') return context.skip(found)
      const before = startedBy(process.pid)
      const server = await LocalStackServer.start(found, { env: process.env })
      onTestFinished(() => server.close())
      const config = {
        endpoint: server.url,
        region: 'us-east-1',
        credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      }
      const [kinesis, dynamoDb] = [new KinesisClient(config), new DynamoDBClient(config)]
      onTestFinished(() => [kinesis, dynamoDb].forEach((client) => client.destroy()))
      expect((await kinesis.send(new ListStreamsCommand())).StreamNames).toEqual([])
      expect((await dynamoDb.send(new ListTablesCommand())).TableNames).toEqual([])
      const started = startedBy(process.pid).filter((pid) => !before.includes(pid))
      // Itself, DynamoDB Local and kinesis-mock.
      expect(started.length).toBeGreaterThanOrEqual(3)
      await server.close()
      await eventually(() => expect(alive().filter(({ pid }) => started.includes(pid))).toEqual([]))
      await expect(fetch(server.url)).rejects.toThrow('fetch failed')
    },
  )
})

interface Process {
  readonly pid: number
  readonly parent: number
}

/** Every process that runs; those that have ended and wait to be asked after do not. */
function alive(): readonly Process[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n')
  return lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , state]) => state?.startsWith('Z') === false)
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }))
}

function startedBy(parent: number): readonly number[] {
  const children = alive().filter((process) => process.parent === parent)
  return children.flatMap(({ pid }) => [pid, ...startedBy(pid)])
}
