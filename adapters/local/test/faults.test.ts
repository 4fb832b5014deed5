import { execFileSync, fork } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import { StreamError } from '@sluice/driver'
import type { Driver } from '@sluice/driver'
import { StoreRegistry } from '../src/store/registry.ts'
import {
  credit,
  live,
  noEvents,
  open,
  record,
  rejection,
  send,
  subscribe,
  take,
  temporaryFolder,
  texts,
} from './fixtures.ts'

const root = process.getuid?.() === 0

/** A folder with a closed log: topic `t` with one partition, and one batch for each body. */
async function folderWith(bodies: readonly string[]): Promise<string> {
  const folder = temporaryFolder()
  const driver = await open(`local:${folder}`)
  await driver.admin.createTopic('t', { partitions: 1 }, live)
  for (const body of bodies) await send(driver, 't', [record({ body })])
  await driver.close()
  return folder
}

function change(file: string, needle: string, replacement: string): void {
  const at = readFileSync(file).indexOf(needle)
  expect(at).toBeGreaterThan(0)
  const handle = openSync(file, 'r+')
  writeSync(handle, replacement, at)
  closeSync(handle)
}

describe('opening says what is wrong with the folder', () => {
  it('when it is a file, or below one', async () => {
    const file = join(temporaryFolder(), 'file')
    writeFileSync(file, 'x')
    for (const path of [file, join(file, 'below')]) {
      const error = await rejection(open(`local:${path}`))
      expect([error.code, error.message]).toEqual(['invalid-argument', expect.stringContaining('name a folder')])
    }
  })

  it.runIf(existsSync('/proc/self'))('when it is on a file system that makes no folders', async () => {
    for (const path of ['/proc/sluice', '/proc/self/below/it']) {
      const error = await rejection(open(`local:${path}`))
      expect([error.code, error.message]).toEqual(['invalid-argument', expect.stringContaining('name one on a disk')])
    }
    expect((await rejection(open('local:/proc'))).message).toContain('check that the folder is on a disk')
  })

  it('when the file in it is no log', async () => {
    const folder = temporaryFolder()
    writeFileSync(
      join(folder, 'sluice.db'),
      'this is not a database, but it is long enough to look like one'.repeat(50),
    )
    expect((await rejection(open(`local:${folder}`))).code).toBe('corrupt')
  })

  it('when the file belongs to another program', async () => {
    const folder = temporaryFolder()
    const other = new DatabaseSync(join(folder, 'sluice.db'))
    other.exec('CREATE TABLE theirs (x)')
    other.close()
    const error = await rejection(open(`local:${folder}`))
    expect([error.code, error.message]).toEqual(['corrupt', expect.stringContaining('another program')])
  })

  it('when it was written by a later version', async () => {
    const folder = await folderWith(['a'])
    const later = new DatabaseSync(join(folder, 'sluice.db'))
    later.exec('PRAGMA user_version = 99')
    later.close()
    const error = await rejection(open(`local:${folder}`))
    expect([error.code, error.message]).toEqual(['unsupported', expect.stringContaining('update @sluice/local')])
  })

  it('when the file was cut short', async () => {
    const folder = await folderWith(['a'.repeat(50_000), 'b'.repeat(50_000)])
    const file = join(folder, 'sluice.db')
    for (const keep of [0.9, 0.5, 0.2]) {
      truncateSync(file, Math.floor(statSync(file).size * keep))
      expect((await rejection(open(`local:${folder}`))).code).toBe('corrupt')
    }
  })

  it('when its newest batch is damaged', async () => {
    const folder = await folderWith(['first body', 'newest body'])
    change(join(folder, 'sluice.db'), 'newest body', 'Newest body')
    const error = await rejection(open(`local:${folder}`))
    expect([error.code, error.message]).toEqual([
      'corrupt',
      expect.stringContaining('offset 1 of partition 0 of topic "t"'),
    ])
  })

  it('when the name of its file is taken by a folder', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'sluice.db'))
    expect(await rejection(open(`local:${folder}`))).toMatchObject({ code: 'invalid-argument', retryable: false })
  })

  it('when this user may not use it (in a child that is not root, who may use everything)', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'mine'))
    if (root) chownSync(join(folder, 'mine'), nobody, nobody)
    mkdirSync(join(folder, 'theirs'), { mode: root ? 0o755 : 0o500 })
    mkdirSync(join(folder, 'closed'), { mode: 0 })
    chmodSync(folder, root ? 0o755 : 0o500)
    expect(await openUnprivileged(`local:${folder}/data`)).toMatchObject({ code: 'permission-denied' })
    for (const name of ['theirs', 'closed'])
      expect(await openUnprivileged(`local:${folder}/${name}`)).toMatchObject({ code: 'permission-denied' })
    expect(await openUnprivileged(`local:${folder}/mine`)).toEqual({ code: 'opened' })
    chmodSync(folder, 0o755)
  })
})

const nobody = 65_534

function openUnprivileged(address: string): Promise<unknown> {
  const child = fork(fileURLToPath(new URL('./open-child.ts', import.meta.url)), [address], {
    execArgv: ['--conditions=@sluice/source'],
    ...(root ? { uid: nobody, gid: nobody } : {}),
    env: { HOME: '/tmp' },
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', (code) => reject(new Error(`the child ended with ${code}`)))
  })
}

describe('reading a damaged batch', () => {
  it('is corrupt, says where, and a seek past it goes on', async () => {
    const folder = await folderWith(['first body', 'second body', 'third body'])
    change(join(folder, 'sluice.db'), 'second body', 'SECOND body')
    const driver = await open(`local:${folder}?failoverMs=20000`)
    const { source, events } = await subscribe(driver, 't', { group: 'g' })
    const error = await rejection(
      source.poll(credit, live).then((records) => (records.length > 0 ? source.poll(credit, live) : records)),
    )
    expect([error.code, error.message]).toEqual([
      'corrupt',
      expect.stringContaining('offset 1 of partition 0 of topic "t"'),
    ])
    expect(events.failures.map((each) => each.code)).toEqual(['corrupt'])
    await source.close()
    await driver.admin.seek('t', 'g', { kind: 'position', positions: { '0': '2' as never } }, live)
    const next = await subscribe(driver, 't', { group: 'g' })
    expect(texts(await take(next.source, 1))).toEqual(['third body'])
  })
})

/** A file system of 6 MiB, when this user may mount one. */
function smallDisk(): string | undefined {
  const folder = temporaryFolder()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    return undefined
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]))
  return folder
}

/** Sends until it fails; says how many were stored, and with what it failed. */
async function fill(driver: Driver): Promise<{ readonly sent: number; readonly error: StreamError }> {
  await driver.admin.createTopic('t', { partitions: 1 }, live)
  for (let sent = 0; ; sent++) {
    const sending = send(driver, 't', [record({ body: `${sent} `.padEnd(100_000, 'x') })])
    const error = await sending.then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (StreamError.is(error)) return { sent, error }
    if (sent === 1000) throw new Error('the disk was never full')
  }
}

function expectFull(error: StreamError): void {
  const { code, retryable, ambiguous, message } = error
  expect({ code, retryable, ambiguous }).toEqual({ code: 'unavailable', retryable: true, ambiguous: false })
  expect(message).toContain('disk is full')
}

describe('a full disk', () => {
  it('is unavailable until there is room again, and nothing acknowledged is lost', async () => {
    const folder = smallDisk()
    // Where no small file system may be mounted, the file is kept small instead: SQLite answers the same.
    if (folder === undefined) process.stderr.write('no tmpfs may be mounted here: max_page_count is used instead\n')
    const driver = await open(folder === undefined ? `local:${temporaryFolder()}?maxPages=300` : `local:${folder}`)
    const { sent, error } = await fill(driver)
    expectFull(error)
    expect(sent).toBeGreaterThan(5)
    const { source } = await subscribe(driver, 't')
    expect(texts(await take(source, sent)).map((each) => Number(each.split(' ')[0]))).toEqual(
      Array.from({ length: sent }, (_, i) => i),
    )
    if (folder === undefined) return
    execFileSync('mount', ['-o', 'remount,size=24m', folder])
    await send(driver, 't', [record({ body: 'after' })])
    expect(texts(await take(source, 1))).toEqual(['after'])
    await driver.close()
    const again = await subscribe(await open(`local:${folder}`), 't')
    expect(await take(again.source, sent + 1)).toHaveLength(sent + 1)
  })

  it('gets room again by retention', async () => {
    const driver = await open(`local:${temporaryFolder()}?maxPages=300&sweepMs=20`)
    const { sent, error } = await fill(driver)
    expectFull(error)
    await driver.admin.setRetention('t', { retentionBytes: 300_000 }, live)
    await eventually(() => send(driver, 't', [record({ body: 'after' })]))
    const { partitions } = await driver.admin.describeTopic('t', live)
    expect(partitions[0]?.latest).toBe(String(sent))
  })
})

describe('another process that holds the write lock', () => {
  it('makes a send unavailable after busyMs, and nothing else', async () => {
    const folder = await folderWith(['a'])
    const driver = await open(`local:${folder}?busyMs=100`)
    const other = new DatabaseSync(join(folder, 'sluice.db'))
    other.exec('BEGIN IMMEDIATE')
    const error = await rejection(send(driver, 't', [record()]))
    expect(error).toMatchObject({ code: 'unavailable', retryable: true, ambiguous: false })
    other.exec('ROLLBACK')
    other.close()
    expect((await send(driver, 't', [record()]))[0]?.position).toBe('1')
  })
})

describe('the death of the thread', () => {
  it('rejects what waits, tells the sources, and leaves a sound folder', async () => {
    const folder = await folderWith(['a'])
    const driver = await open(`local:${folder}`)
    const { source, events } = await subscribe(driver, 't', { group: 'g' })
    await take(source, 1)
    const polled = rejection(source.poll(credit, live))
    await (driver.native() as Worker).terminate()
    const { code, message } = await polled
    expect(code).toBe('internal')
    expect(message).toContain('open it again')
    expect(events.failures).toHaveLength(1)
    expect((await rejection(driver.admin.listTopics(live))).code).toBe('internal')
    await source.close()
    await driver.close()
    const again = await open(`local:${folder}`)
    expect(texts(await take((await subscribe(again, 't')).source, 1))).toEqual(['a'])
  })

  it.each(['key', 'none'] as const)(
    'leaves no member behind that would hold its group for ever: order %s',
    async (order) => {
      const folder = temporaryFolder()
      const driver = await open(`local:${folder}`)
      await driver.admin.createTopic('t', { order }, live)
      const opened = await driver.openTopic('t', live)
      const joining = { group: 'g', member: 'm', start: { kind: 'earliest' as const }, events: noEvents }
      const sources = [await opened.subscribe(joining, live), await opened.subscribe(joining, live)]
      const other = await open(`local:${folder}`)
      await (driver.native() as Worker).terminate()
      expect((await rejection(other.admin.deleteGroup('t', 'g', live))).code).toBe('conflict')
      await Promise.all(sources.map((source) => source.close()))
      await other.admin.deleteGroup('t', 'g', live)
      expect(await other.admin.listGroups('t', live)).toEqual([])
    },
  )
})

describe('a log that is deleted, moved or replaced while it is open', () => {
  const deleted = (folder: string): void => rmSync(folder, { recursive: true })
  const moved = (folder: string): void => renameSync(folder, `${temporaryFolder()}/moved`)
  const replaced = (folder: string): void => {
    rmSync(join(folder, 'sluice.db'))
    writeFileSync(join(folder, 'sluice.db'), '')
  }

  it.each([
    ['deleted', deleted],
    ['moved', moved],
    ['replaced', replaced],
  ])('acknowledges nothing any more (%s)', async (_, harm) => {
    const folder = await folderWith(['before'])
    const driver = await open(`local:${folder}?sweepMs=600000`)
    const topic = await driver.openTopic('t', live)
    const producer = await topic.producer(live)
    await producer.sendBatch([record()], live)
    harm(folder)
    const error = await rejection(producer.sendBatch([record()], live))
    expect([error.code, error.retryable, error.ambiguous]).toEqual(['unavailable', false, true])
    expect(error.message).toContain(`no longer at ${folder}`)
    expect(await rejection(producer.sendBatch([record()], live))).toBe(error)
    expect(await rejection(driver.admin.describeTopic('t', live))).toBe(error)
  })

  it('is told to readers too, and begins anew for who connects again', async () => {
    const folder = await folderWith(['before'])
    const registry = new StoreRegistry()
    const driver = await open(`local:${folder}?sweepMs=50`, { registry })
    const { events, source } = await subscribe(driver, 't', { group: 'g' })
    await take(source, 1)
    deleted(folder)
    await eventually(() => expect(events.failures.map((error) => error.code)).toEqual(['unavailable']))
    await driver.close()
    expect(existsSync(folder)).toBe(false)
    const again = await open(`local:${folder}`, { registry })
    expect(await again.admin.listTopics(live)).toEqual([])
  })
})
