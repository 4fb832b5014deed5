import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import { live, open, subscribe, take, temporaryFolder } from './fixtures.ts'

/** Processes start slowly on a busy machine. */
const patienceMs = 30_000

interface Told {
  readonly acked?: number
  readonly assigned?: string
  readonly received?: readonly (readonly [string, string, string])[]
  readonly failed?: string
}

interface Child {
  readonly process: ChildProcess
  readonly told: readonly Told[]
  readonly exited: Promise<number | null>
}

function start(...args: readonly string[]): Child {
  const child = fork(fileURLToPath(new URL('./child.ts', import.meta.url)), [...args], {
    execArgv: ['--conditions=@sluice/source'],
    serialization: 'advanced',
  })
  const told: Told[] = []
  child.on('message', (message: Told) => told.push(message))
  onTestFinished(() => void child.kill('SIGKILL'))
  return { process: child, told, exited: new Promise((resolve) => child.once('exit', resolve)) }
}

const received = (child: Child): readonly string[] =>
  child.told.flatMap((each) => each.received ?? []).map(([, , id]) => id)
const acked = (child: Child): number => Math.max(0, ...child.told.map((each) => each.acked ?? 0))

describe('several processes on one folder', () => {
  it('store every record of both producers once, each key in order', async () => {
    const folder = temporaryFolder()
    const driver = await open(`local:${folder}`)
    await driver.admin.createTopic('t', { partitions: 3 }, live)
    const children = [start('produce', `local:${folder}`, 'a', '500'), start('produce', `local:${folder}`, 'b', '500')]
    const { source } = await subscribe(driver, 't')
    const records = await take(source, 1000)
    expect(await Promise.all(children.map((child) => child.exited))).toEqual([0, 0])
    expect(new Set(records.map((record) => record.id)).size).toBe(1000)
    const last = new Map<string | undefined, number>()
    for (const { key, id } of records) {
      const number = Number(id.split('-')[1])
      expect(number).toBeGreaterThan(last.get(key) ?? -1)
      last.set(key, number)
    }
    const perPartition = new Map<string, number[]>()
    for (const { partition, position } of records)
      perPartition.set(partition, [...(perPartition.get(partition) ?? []), Number(position)])
    for (const positions of perPartition.values()) expect(positions).toEqual(positions.map((_, index) => index))
  })

  it('keep what was acknowledged when a producer is killed in the middle', async () => {
    const folder = temporaryFolder()
    const driver = await open(`local:${folder}`)
    await driver.admin.createTopic('t', { partitions: 1 }, live)
    const child = start('produce', `local:${folder}`, 'a', '1000000')
    await eventually(() => expect(acked(child)).toBeGreaterThan(50), patienceMs)
    child.process.kill('SIGKILL')
    await child.exited
    const known = acked(child)
    const { source } = await subscribe(driver, 't')
    const ids = (await take(source, known)).map((record) => record.id)
    expect(ids).toEqual(Array.from({ length: ids.length }, (_, i) => `a-${i}`))
    expect(ids.length).toBeGreaterThanOrEqual(known)
  })

  it("take a killed member's partitions over at once, losing nothing and repeating little", async () => {
    const folder = temporaryFolder()
    // A failover that the test would not live to see: a dead process is recognised without it.
    const address = `local:${folder}?failoverMs=20000`
    const driver = await open(address)
    await driver.admin.createTopic('t', { partitions: 2 }, live)
    const victim = start('consume', address, 'victim')
    await eventually(
      () => expect(victim.told.filter((each) => each.assigned !== undefined)).toHaveLength(2),
      patienceMs,
    )
    const producer = start('produce', `local:${folder}`, 'a', '600')
    await eventually(() => expect(received(victim).length).toBeGreaterThan(40), patienceMs)
    victim.process.kill('SIGKILL')
    await victim.exited
    const heir = start('consume', address, 'heir')
    await producer.exited
    await eventually(() => {
      const all = new Set([...received(victim), ...received(heir)])
      expect(all.size).toBe(600)
    }, patienceMs)
    expect(received(victim).length + received(heir).length - 600).toBeLessThanOrEqual(40)
    expect(new Set(received(heir)).size).toBe(received(heir).length)
    heir.process.send('stop')
    expect(await heir.exited).toBe(0)
  })
})
