import { StreamError } from '@sluice/driver'
import type { Driver } from '@sluice/driver'
import { describe, expect, it } from 'vitest'
import { connect } from '../src/index.ts'
import type { Cloud, TopicOptions } from '../src/index.ts'
import { allCapabilities, fakeTopic, stored, plainLimits } from './fake-topic.ts'

/** Every way to use a topic for the first time. */
const uses: readonly (readonly [string, (cloud: Cloud, options: TopicOptions<unknown>) => Promise<unknown>])[] = [
  ['send', (cloud, options) => cloud.topic('t', options).send({ value: 1 })],
  [
    'consume',
    (cloud, options) =>
      cloud
        .topic('t', options)
        .consumer({ group: 'g' })
        .run(() => undefined),
  ],
  ['read', (cloud, options) => Array.fromAsync(cloud.topic('t', options).read())],
  ['limits', (cloud, options) => cloud.topic('t', options).limits()],
]

describe('a topic that exists', () => {
  it.each(uses)('in another shape than the options say is a conflict that names both, on %s', async (_, use) => {
    await using cloud = await connect('memory:')
    await cloud.admin.createTopic('t', { partitions: 2 })
    await expect(use(cloud, { partitions: 3 })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/topic "t" exists with partitions 2 instead of 3; /) as string,
    })
    await expect(use(cloud, { order: 'none', partitions: 1 })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringMatching(/exists with order key instead of none, partitions 2 instead of 1; /) as string,
    })
  })

  it('is compared although it is in use already without options, and can be used once it fits', async () => {
    await using cloud = await connect('memory:')
    await cloud.admin.createTopic('t', { partitions: 2 })
    await cloud.topic('t').send({ value: 1 })
    const wanted = cloud.topic('t', { partitions: 3 })
    await expect(wanted.send({ value: 2 })).rejects.toMatchObject({ code: 'conflict' })
    await cloud.admin.setPartitions('t', 3)
    await expect(cloud.topic('t', { partitions: 3 }).send({ value: 2 })).resolves.toMatchObject({
      id: expect.stringMatching(/./) as string,
    })
  })

  it('is used when it fits, and when the options leave its shape open', async () => {
    await using cloud = await connect('memory:')
    await cloud.admin.createTopic('t', { partitions: 2 })
    for (const options of [{ partitions: 2, order: 'key' }, { order: 'key' }, {}] as const)
      expect(await cloud.topic('t', options).order()).toBe('key')
  })

  it('is not compared in its partitions where the backend shows it as one whole', async () => {
    await using cloud = await connect('memory:?profile=no-positions')
    await cloud.admin.createTopic('t', { partitions: 2 })
    expect(await cloud.topic('t', { partitions: 2 }).order()).toBe('key')
  })
})

/** A driver with one topic of two partitions; counts how often it was asked to describe it. */
function lookedAt(refusal?: StreamError): { readonly driver: Driver; readonly looks: () => number } {
  let looks = 0
  const describeTopic: Driver['admin']['describeTopic'] = (name) => {
    looks++
    if (refusal !== undefined) return Promise.reject(refusal)
    const partitions = ['0', '1'].map((id) => ({ id, state: 'open' as const, parents: [] }))
    return Promise.resolve({ name, order: 'key', partitions, retentionMs: undefined, retentionBytes: undefined })
  }
  const topic = fakeTopic((records) => Promise.resolve(records.map((_, index) => stored(index))))
  const driver = {
    specVersion: 1,
    name: 'fake',
    server: 'fake 1',
    capabilities: allCapabilities,
    limits: plainLimits,
    admin: { describeTopic } as unknown as Driver['admin'],
    openTopic: () => Promise.resolve(topic),
    toStreamError: (error: unknown) => StreamError.from(error, 'x'),
    native: () => undefined,
    close: () => Promise.resolve(),
  } satisfies Driver
  return { driver, looks: () => looks }
}

describe('comparing', () => {
  it('asks the backend once, and not at all where nothing was asked for', async () => {
    const { driver, looks } = lookedAt()
    await using cloud = await connect('fake:', { driver })
    await cloud.topic('t', { order: 'key' }).send({ value: 0 })
    expect(looks()).toBe(0)
    const topic = cloud.topic('t', { partitions: 2 })
    for (const value of [1, 2, 3]) await topic.send({ value })
    await topic.producer().send({ value: 4 })
    await topic.limits()
    expect(looks()).toBe(1)
  })

  it('lets those use a topic who may not look at it', async () => {
    const { driver } = lookedAt(new StreamError('permission-denied', 'not for you'))
    await using cloud = await connect('fake:', { driver })
    await expect(cloud.topic('t', { partitions: 7 }).send({ value: 1 })).resolves.toMatchObject({ position: '0' })
  })
})
