import type { GetRecordsInput, KinesisClient } from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { expect, it } from 'vitest'
import { backend, open, texts } from './fixtures.ts'

it('asks a shard for about a mebibyte at once, by the size of what came last', async () => {
  const { url } = await backend()
  const cloud = await open(url())
  await cloud.admin.createTopic('t', { partitions: 1 })
  const topic = texts(cloud, 't')
  await Promise.all(Array.from({ length: 40 }, (_, at) => topic.send({ key: `k${at}`, value: 'x'.repeat(50_000) })))
  const limits: (number | undefined)[] = []
  ;(cloud.native() as KinesisClient).middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        if (commandName === 'GetRecordsCommand') limits.push((args.input as GetRecordsInput).Limit)
        return next(args)
      },
    { step: 'initialize' },
  )
  const consumer = topic.consumer({ group: 'g', deadLetter: false })
  const running = consumer.run(() => undefined)
  await eventually(() => expect(limits.slice(0, 2)).toEqual([10, 20]))
  await consumer.close()
  await running
})
