import { spawn } from 'node:child_process'
import { appendFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytes, connect } from '@sluice/core'
import { DynamoDbServer, findNats, KinesisServer, NatsServer } from '@sluice/emulators'
import { expect, it } from 'vitest'
import { classify } from '../classify.ts'
import { regionOf } from '../quake.ts'

const root = join(import.meta.dirname, '../../..')

/** A copy of the example to run in, so that runs know nothing of each other. */
class Copy implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'sluice-earthquakes-'))

  constructor() {
    cpSync(join(root, 'examples/earthquakes'), this.path, {
      recursive: true,
      filter: (source) => !/earthquakes\/(data|archive|test|node_modules)$/.test(source),
    })
    symlinkSync(join(root, 'node_modules'), join(this.path, 'node_modules'))
  }

  /** Runs the pipeline; with `killAfter` it is killed as soon as it has printed so many lines. */
  run(options: { readonly args?: readonly string[]; readonly killAfter?: number } = {}): Promise<string> {
    const { args = [], killAfter = Infinity } = options
    const main = join(root, 'packages/cli/src/main.ts')
    const all = ['--conditions=@sluice/source', main, 'run', this.path, '--until-idle', ...args]
    const child = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe'] })
    return new Promise((resolve, reject) => {
      let [stdout, stderr] = ['', '']
      child.stderr.on('data', (data: Buffer) => (stderr += data.toString()))
      child.stdout.on('data', (data: Buffer) => {
        stdout += data.toString()
        if (stdout.split('\n').length > killAfter) child.kill('SIGKILL')
      })
      child.once('close', (code, signal) => {
        if (code === 0 || signal === 'SIGKILL') resolve(stdout)
        else reject(new Error(`ended with ${code}: ${stderr}`))
      })
    })
  }

  /** The archive's files by name. */
  archive(): Readonly<Record<string, string>> {
    const folder = join(this.path, 'archive')
    const names = readdirSync(folder).toSorted()
    return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

it.each([
  ['22km NNE of Hualian, Taiwan', 'Taiwan'],
  ['Reykjanes Ridge', 'Reykjanes Ridge'],
])('takes the region of "%s" to be %s', (place, region) => {
  expect(regionOf(place)).toBe(region)
})

it.each([
  [4.4, 'earthquake', undefined],
  [4.5, 'earthquake', 'light'],
  [5, 'earthquake', 'moderate'],
  [6.9, 'earthquake', 'strong'],
  [7, 'earthquake', 'major'],
  [9.5, 'earthquake', 'great'],
  [5, 'quarry blast', undefined],
])('classifies magnitude %s of kind %s as %s', async (magnitude, kind, strength) => {
  const value = { id: 'q', kind, magnitude, place: 'A, B', time: '2018-02-06T00:00:00.000Z', depthKm: 1 }
  const output = await classify.handle({ value } as Parameters<typeof classify.handle>[0])
  expect((output as { value?: { strength: string } } | undefined)?.value?.strength).toBe(strength)
})

it('prints the week’s alerts, each region in order of time, and archives the same', async () => {
  using copy = new Copy()
  const lines = (await copy.run()).trim().split('\n')
  expect(lines).toHaveLength(85)
  const taiwan = lines.filter((line) => line.includes('Taiwan'))
  expect(taiwan.length).toBeGreaterThan(10)
  expect(taiwan).toEqual(taiwan.toSorted())
  expect(taiwan.join('\n')).toContain('2018-02-06 15:50  M 6.4  strong    22km NNE of Hualian, Taiwan, 11 km deep')
  const archived = Object.values(copy.archive()).join('').trim().split('\n')
  expect(archived).toHaveLength(85)
})

it('leaves the same archive byte for byte, whatever the backend and however often it is run', async () => {
  using once = new Copy()
  using twice = new Copy()
  await once.run()
  await twice.run({ args: ['--backend', `local:${twice.path}/other?partitions=7`] })
  await twice.run({ args: ['--backend', `local:${twice.path}/third`] })
  expect(twice.archive()).toEqual(once.archive())
})

/** A backend elsewhere; a text says why there is none. */
type Elsewhere = { readonly url: string } & AsyncDisposable

const elsewhere: Readonly<Record<string, (env: NodeJS.ProcessEnv) => Promise<Elsewhere | string>>> = {
  NATS: async (env) => {
    const found = await findNats({ env })
    if (!('tried' in found)) return NatsServer.start(found)
    const why = `no nats-server: ${found.tried.join('; ')}`
    if (env['SLUICE_REQUIRE']?.includes('nats') === true) throw new Error(why)
    return why
  },

  // With its quotas: a week of earthquakes is less than a shard takes.
  Kinesis: async () => {
    const [kinesis, dynamo] = [await KinesisServer.start(), await DynamoDbServer.start()]
    const url = `kinesis://test:test@eu-west-1?endpoint=${kinesis.url}&dynamoEndpoint=${dynamo.url}&pollMs=300`
    return { url, [Symbol.asyncDispose]: async () => void (await Promise.all([kinesis.close(), dynamo.close()])) }
  },
}

it.for(Object.keys(elsewhere))(
  'gives on %s, byte for byte, the alerts and the archive that it gives on local',
  { timeout: 120_000 },
  async (name, { skip }) => {
    // oxlint-disable-next-line node/no-process-env -- where a server is found on this machine
    const backend = await elsewhere[name]?.(process.env)
    if (backend === undefined || typeof backend === 'string') return skip(backend ?? 'no such backend')
    await using server = backend
    using local = new Copy()
    using there = new Copy()
    const printedByLocal = await local.run()
    const printedThere = await there.run({ args: ['--backend', server.url] })
    expect(byRegion(printedThere)).toEqual(byRegion(printedByLocal))
    expect(there.archive()).toEqual(local.archive())
    const alerts = await alertsOf(`local:${local.path}/data`)
    expect(alerts.size).toBeGreaterThan(10)
    expect(await alertsOf(server.url)).toEqual(alerts)
  },
)

/** What was printed, without the order in which regions come, which nobody promises. */
function byRegion(printed: string): readonly string[] {
  return printed.trim().split('\n').toSorted()
}

/** The alerts of each region as they are stored: ids, headers and bytes. */
async function alertsOf(address: string): Promise<ReadonlyMap<string, readonly unknown[]>> {
  await using cloud = await connect(address, { create: false })
  const alerts = new Map<string, unknown[]>()
  for await (const { headers, id, key = '', value } of cloud.topic('alerts', { codec: bytes }).read()) {
    const stored = { id, headers, body: Buffer.from(value).toString('hex') }
    alerts.set(key, [...(alerts.get(key) ?? []), stored])
  }
  return alerts
}

it('leaves the same archive after it was killed and its last line torn', async () => {
  using whole = new Copy()
  using killed = new Copy()
  await whole.run()
  await killed.run({ killAfter: 1 })
  const taiwan = join(killed.path, 'archive/Taiwan.ndjson')
  if (readdirSync(join(killed.path, 'archive')).includes('Taiwan.ndjson')) appendFileSync(taiwan, '{"id":"us1000')
  await killed.run()
  expect(killed.archive()).toEqual(whole.archive())
})
