import { existsSync, readdirSync } from 'node:fs'
import { Container } from 'inversify'
import { describe, expect, it } from 'vitest'
import { eventually } from '@sluice/driver/testing'
import { parseBackendUrl, silentLogger, systemClock, tokens } from '@sluice/driver'
import { adapter } from '../src/index.ts'
import {
  credit,
  live,
  noEvents,
  open,
  openContext,
  record,
  rejection,
  send,
  subscribe,
  subscribeQueue,
  temporaryFolder,
} from './fixtures.ts'

/** What keeps a process alive, vitest's own apart. */
const resources = (): string[] =>
  process
    .getActiveResourcesInfo()
    .filter((each) => /MessagePort|Worker|Timeout|FS/.test(each))
    .toSorted()

describe('closing', () => {
  it('leaves no thread, port or timer, and one file', async () => {
    const before = resources()
    const folder = temporaryFolder()
    const driver = await open(`local:${folder}`)
    await driver.admin.createTopic('t', {}, live)
    await driver.admin.createTopic('q', { order: 'none' }, live)
    await send(driver, 't', [record()])
    const { source } = await subscribe(driver, 't', { group: 'g' })
    await subscribeQueue(driver, 'q', 'g')
    await source.poll(credit, live)
    await driver.close()
    await eventually(() => expect(resources().length).toBeLessThanOrEqual(before.length))
    expect(readdirSync(folder)).toEqual(['sluice.db'])
  })

  it('can be done twice, and while a poll and a pull wait and a send is on its way', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', {}, live)
    await driver.admin.createTopic('q', { order: 'none' }, live)
    const { source, events } = await subscribe(driver, 't', { group: 'g' })
    const queue = await subscribeQueue(driver, 'q', 'g')
    const polled = source.poll(credit, live)
    const pulled = queue.pull(credit, live)
    const producer = await (await driver.openTopic('t', live)).producer(live)
    const sent = producer.sendBatch([record()], live)
    const [outcomes] = await Promise.all([sent, driver.close(), driver.close()])
    expect(outcomes.map((outcome) => outcome.ok)).toEqual([true])
    expect((await polled).length).toBeLessThanOrEqual(1)
    expect(await pulled).toEqual([])
    expect(events.failures).toEqual([])
    await driver.close()
  })

  it('refuses calls that come later', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', {}, live)
    const topic = await driver.openTopic('t', live)
    const producer = await topic.producer(live)
    const { source } = await subscribe(driver, 't')
    await producer.close()
    expect((await rejection(producer.sendBatch([record()], live))).code).toBe('closed')
    await driver.close()
    for (const late of [
      driver.openTopic('t', live),
      driver.admin.listTopics(live),
      source.poll(credit, live),
      topic.producer(live),
      topic.subscribe({ group: 'g', member: 'm', start: { kind: 'earliest' }, events: noEvents }, live),
    ]) {
      expect((await rejection(late)).code).toBe('closed')
    }
  })

  it('gives partitions up at once', async () => {
    const folder = temporaryFolder()
    const [a, b] = [await open(`local:${folder}?failoverMs=20000`), await open(`local:${folder}?failoverMs=20000`)]
    await a.admin.createTopic('t', { partitions: 2 }, live)
    await subscribe(a, 't', { group: 'g', member: 'a' })
    await a.close()
    const next = await subscribe(b, 't', { group: 'g', member: 'b' })
    await eventually(() => expect([...next.events.assignedEpochs.keys()].toSorted()).toEqual(['0', '1']))
  })

  it('honours a signal that has aborted before', async () => {
    const driver = await open('memory:')
    await driver.admin.createTopic('t', {}, live)
    const gone = AbortSignal.abort()
    const topic = await driver.openTopic('t', live)
    const producer = await topic.producer(live)
    for (const late of [
      driver.openTopic('t', gone),
      driver.admin.listTopics(gone),
      topic.producer(gone),
      producer.sendBatch([record()], gone),
    ]) {
      expect(await rejection(late)).toMatchObject({ code: 'aborted', ambiguous: false })
    }
  })
})

const openBy = async (address: string): ReturnType<typeof open> => {
  const container = new Container({ defaultScope: 'Singleton' })
  container.load(adapter)
  const url = parseBackendUrl(address)
  const found = container.getAll(tokens.Adapter).find((each) => each.scheme === url.scheme)
  if (found === undefined) throw new Error('no adapter')
  return found.open(url, openContext())
}

describe('the container module', () => {
  it('binds both schemes, and connections of two containers share memory by name', async () => {
    const [a, b] = [await openBy('memory:two-containers'), await openBy('memory:two-containers')]
    await a.admin.createTopic('t', {}, live)
    expect(await b.admin.listTopics(live)).toEqual(['t'])
    expect([a.name, a.capabilities.persistent, a.capabilities.embedded]).toEqual(['memory', false, true])
    await Promise.all([a.close(), b.close()])
    const folder = `${temporaryFolder()}/made/on/the/way`
    const local = await openBy(`local:${folder}`)
    expect([local.name, local.capabilities.persistent, existsSync(folder)]).toEqual(['local', true, true])
    await local.close()
  })

  it('refuses an address before it touches the disk', async () => {
    const folder = `${temporaryFolder()}/never`
    await expect(open(`local:${folder}?durabilty=full`)).rejects.toMatchObject({ code: 'invalid-argument' })
    expect(existsSync(folder)).toBe(false)
    const stopped = {
      clock: systemClock,
      logger: silentLogger,
      random: Math.random,
      leaseStore: undefined,
      signal: AbortSignal.abort(),
    }
    const container = new Container()
    container.load(adapter)
    const [local] = container.getAll(tokens.Adapter)
    await expect(local?.open(parseBackendUrl(`local:${folder}`), stopped)).rejects.toMatchObject({ code: 'aborted' })
    expect(existsSync(folder)).toBe(false)
  })
})
