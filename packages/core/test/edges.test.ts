import { eventually } from '@sluice/driver/testing'
import { expect, it } from 'vitest'
import { connect, defineFunction } from '../src/index.ts'

it('a read from a time ends on a topic that is written to and has a quiet partition', async () => {
  await using cloud = await connect('memory:?partitions=2')
  const topic = cloud.topic('t')
  await topic.send({ value: 'old', partition: '0' })
  await new Promise((resolve) => setTimeout(resolve, 5))
  const from = new Date()
  await topic.send({ value: 0, partition: '1' })
  let sent = 0
  const writing = setInterval(() => void topic.send({ value: ++sent, partition: '1' }), 20)
  const values: unknown[] = []
  for await (const { value } of topic.read({ from })) values.push(value)
  clearInterval(writing)
  expect(values[0]).toBe(0)
})

it('a worker runs once', async () => {
  await using cloud = await connect('memory:')
  await cloud.admin.createTopic('in')
  const worker = cloud.worker(defineFunction({ name: 'f', handle: () => undefined }), { from: 'in' })
  const running = worker.run()
  await expect(worker.run()).rejects.toMatchObject({ code: 'invalid-argument' })
  await worker.close()
  await running
})

it('a dead letter whose first half is gone is told as incomplete and not sent back', async () => {
  await using cloud = await connect('memory:?maxRecordBytes=4096&partitions=1&sweepMs=20')
  await cloud.topic('t').send({ key: 'c', value: 'x'.repeat(4_000) })
  const consumer = cloud.topic('t').consumer({ group: 'g' })
  const running = consumer.run((message) => message.deadLetter('no'))
  await eventually(() => expect(consumer.stats().deadLettered).toBe(1))
  await consumer.close()
  await running
  await cloud.topic('t.dead-letters').send({ key: 'c', value: 1 })
  await cloud.admin.setRetention('t.dead-letters', { retentionBytes: 1_500 })
  await eventually(async () => {
    const { partitions } = await cloud.admin.describeTopic('t.dead-letters')
    expect(partitions[0]?.records).toBe(2)
  })
  const letters = []
  for await (const letter of cloud.admin.deadLetters('t')) letters.push(letter.incomplete)
  expect([letters, await cloud.admin.sendBack('t')]).toEqual([[true], 0])
})

it('a topic whose name is as long as can be has a dead-letter topic', async () => {
  await using cloud = await connect('memory:')
  const name = 'n'.repeat(200)
  expect(await cloud.admin.createTopic(`${name}.dead-letters`)).toBe('created')
  await expect(cloud.admin.createTopic(`${name}n`)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: `"${name}n" is too long for a topic name (201 characters, and no backend takes more than 200); use a shorter one`,
  })
})

it.each(['bad name', '.hidden', '-x', 'ö'])('the name "%s" is refused without a word on its length', async (name) => {
  await using cloud = await connect('memory:')
  await expect(cloud.admin.createTopic(name)).rejects.toMatchObject({
    code: 'invalid-argument',
    message: `"${name}" is no topic name; use letters, digits, dot, dash and underscore, and begin with a letter or digit`,
  })
})
