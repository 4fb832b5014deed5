import type { TopicOptions } from '@sluice/core'
import type { Driver, DriverTopic, OutgoingRecord, PartitionId, SendOutcome } from '@sluice/driver'
import { StreamError } from '@sluice/driver'
import { override } from '../override.ts'
import { onCloudTopic, onProducer, onTopic } from './mutant.ts'
import type { Mutant } from './mutant.ts'

/** Bugs on the way in. */
export const sendingMutants: readonly Mutant[] = [
  {
    name: 'whole-batch-resend',
    bug: 'when one record of a request fails, all of them are sent again',
    killedBy: 'publish/partial-failure-per-record',
    infect: () => ({
      mutate: (driver) =>
        onProducer(driver, (producer) => ({ sendBatch: resendAll(producer.sendBatch.bind(producer)) })),
    }),
  },
  {
    name: 'lose-on-close',
    bug: 'a send is confirmed when it is buffered, and close throws the buffer away',
    killedBy: 'publish/close-flushes',
    infect: () => ({ mutate: (driver) => onProducer(driver, bufferAndLose) }),
  },
  {
    name: 'lane-not-fenced',
    bug: 'after a final failure later records of the key are sent as if nothing had been',
    killedBy: 'publish/lane-fenced-after-final-failure',
    infect: () => ({
      mutateCloud: (cloud) =>
        onCloudTopic(cloud, (topic) => ({
          producer: (options) => topic.producer({ ...options, onOrderedFailure: 'continue' }),
        })),
    }),
  },
  {
    name: 'rate-limit-forgotten',
    bug: "a topic's configured rate is checked and then not kept",
    killedBy: 'publish/rate-limit',
    infect: () => ({
      mutateCloud: (cloud) =>
        override(cloud, {
          topic: (name: string, options: TopicOptions<unknown> = {}) => {
            const { rateLimit, ...others } = options
            return cloud.topic(name, rateLimit === undefined ? options : others)
          },
        }),
    }),
  },
  {
    name: 'receipt-position-of-first',
    bug: 'the receipts of one request all name the position of its first record in their partition',
    killedBy: 'publish/receipt-names-its-place',
    infect: () => ({
      mutate: (driver) =>
        onProducer(driver, (producer) => ({ sendBatch: firstPlaces(producer.sendBatch.bind(producer)) })),
    }),
  },
  {
    name: 'explicit-partition-ignored-with-key',
    bug: 'a record with a key goes where its key belongs, whatever partition it asks for',
    killedBy: 'publish/explicit-partition',
    infect: () => ({
      mutate: (driver) =>
        onProducer(driver, (producer) => ({
          sendBatch: (records, signal) =>
            producer.sendBatch(
              records.map((record) => (record.key === undefined ? record : { ...record, partition: undefined })),
              signal,
            ),
        })),
    }),
  },
  {
    name: 'partitions-known-at-start',
    bug: 'a producer takes no partition that was not there when it was made',
    killedBy: 'publish/explicit-partition-after-growth',
    infect: () => ({ mutate: (driver) => onTopic(driver, async (topic) => sendToKnown(driver, topic)) }),
  },
  {
    name: 'dlq-loses-headers',
    bug: 'dead letters are stored without the headers of the record',
    killedBy: 'settle/attempts-then-dead-letter',
    infect: () => ({
      mutate: (driver) =>
        onProducer(withoutTransactions(driver), (producer, topic) =>
          topic.name.endsWith('.dead-letters')
            ? { sendBatch: (records, signal) => producer.sendBatch(records.map(bareDeadLetter), signal) }
            : {},
        ),
    }),
  },
  {
    name: 'limits-lie',
    bug: 'the limits promise twice what the backend takes',
    killedBy: 'limits/match-reality',
    infect: () => ({
      mutate: (driver) =>
        onTopic(driver, (topic) => ({ limits: { ...topic.limits, maxRecordBytes: topic.limits.maxRecordBytes * 2 } })),
    }),
  },
  {
    name: 'error-code-unknown',
    bug: 'a topic that does not exist is reported as an internal error',
    killedBy: 'admin/missing-topic',
    infect: () => ({
      mutate: (driver) =>
        override(driver, {
          openTopic: (name, signal) =>
            driver.openTopic(name, signal).catch((cause: unknown) => {
              throw new StreamError('internal', 'something went wrong', { cause })
            }),
        }),
    }),
  },
  {
    name: 'cause-thrown-away',
    bug: 'errors come without the native error underneath',
    killedBy: 'errors/code-table',
    infect: () => ({
      mutate: (driver) =>
        override(driver, {
          toStreamError: (error, context) => {
            const { code, message } = driver.toStreamError(error, context)
            return new StreamError(code, message)
          },
        }),
    }),
  },
]

type SendBatch = (records: readonly OutgoingRecord[], signal: AbortSignal) => Promise<readonly SendOutcome[]>

function resendAll(sendBatch: SendBatch): SendBatch {
  return async (records, signal) => {
    const outcomes = await sendBatch(records, signal)
    if (outcomes.every((outcome) => outcome.ok)) return outcomes
    const renamed = records.map((record, index) =>
      outcomes[index]?.ok === true ? { ...record, id: `${record.id}-again` } : record,
    )
    return sendBatch(renamed, signal)
  }
}

function firstPlaces(sendBatch: SendBatch): SendBatch {
  return async (records, signal) => {
    const firsts = new Map<PartitionId | undefined, SendOutcome>()
    return (await sendBatch(records, signal)).map((outcome) => {
      if (!outcome.ok) return outcome
      const first = firsts.get(outcome.partition)
      if (first === undefined) firsts.set(outcome.partition, outcome)
      return first ?? outcome
    })
  }
}

async function sendToKnown(driver: Driver, topic: DriverTopic): Promise<Partial<DriverTopic>> {
  const { partitions } = await driver.admin.describeTopic(topic.name, new AbortController().signal)
  const known = new Set(partitions.map((partition) => partition.id))
  return {
    producer: async (signal) => {
      const producer = await topic.producer(signal)
      return override(producer, {
        sendBatch: (records, sending) => {
          const stranger = records.find(({ partition }) => partition !== undefined && !known.has(partition))
          if (stranger === undefined) return producer.sendBatch(records, sending)
          throw new StreamError('not-found', `there is no partition ${stranger.partition}`)
        },
      })
    },
  }
}

function bufferAndLose(producer: { sendBatch: SendBatch; close(): Promise<void> }): {
  sendBatch: SendBatch
  close(): Promise<void>
} {
  const buffer: OutgoingRecord[] = []
  let timer: NodeJS.Timeout | undefined
  const flush = (): void => {
    timer = undefined
    void producer.sendBatch(buffer.splice(0), new AbortController().signal)
  }
  return {
    sendBatch: async (records) => {
      buffer.push(...records)
      timer ??= setTimeout(flush, 10)
      return records.map(() => ({ ok: true }))
    },
    close: () => {
      clearTimeout(timer)
      return producer.close()
    },
  }
}

function bareDeadLetter(record: OutgoingRecord): OutgoingRecord {
  return {
    ...record,
    headers: Object.fromEntries(Object.entries(record.headers).filter(([name]) => name.startsWith('dlq-'))),
  }
}

function withoutTransactions(driver: Parameters<typeof onProducer>[0]): Parameters<typeof onProducer>[0] {
  return override(driver, { capabilities: { ...driver.capabilities, transactions: false } })
}
