import { StreamError } from '@sluice/driver'
import type { OutgoingRecord, SendOutcome, TransactionRecord } from '@sluice/driver'
import { appendAll } from './requests.ts'
import type { AppendOptions } from './requests.ts'
import { TopicView } from './topic.ts'
import { answerOrAbort } from './answer-or-abort.ts'

interface Outputs {
  readonly topic: TopicView
  readonly records: OutgoingRecord[]
  readonly indexes: number[]
}

/** Stores records for any topics, and the commits in `options`, in one transaction. Outcomes are index-aligned. */
export async function transact(
  records: readonly TransactionRecord[],
  options: AppendOptions,
  signal: AbortSignal,
): Promise<readonly SendOutcome[]> {
  const topics = await openTopics(records, options)
  for (const [index, { topic, record }] of records.entries()) {
    topics.get(topic)?.records.push(record)
    topics.get(topic)?.indexes.push(index)
  }
  const outcomes: (SendOutcome | undefined)[] = Array.from({ length: records.length })
  await answerOrAbort(appendAll([...topics.values()], outcomes, options, 0), signal, 'the transaction')
  return outcomes.map((outcome) => {
    if (outcome === undefined)
      throw new StreamError('internal', 'a record came out of a transaction without an outcome')
    return outcome
  })
}

async function openTopics(
  records: readonly TransactionRecord[],
  options: AppendOptions,
): Promise<ReadonlyMap<string, Outputs>> {
  const topics = new Map<string, Outputs>()
  for (const name of new Set(records.map((record) => record.topic))) {
    topics.set(name, { topic: await TopicView.open(options.client, name), records: [], indexes: [] })
  }
  return topics
}
