import { noPartition, StreamError } from '@sluice/driver'
import type { Driver, DriverTopic, TopicSpec } from '@sluice/driver'

/**
 * Rejects with `conflict`, naming what the topic is and what was asked for, when it has another order or another number
 * of open partitions. Partitions are asked of the backend, one describe; where it cannot or must not tell they are not compared.
 */
export async function checkFits(
  driver: Driver,
  topic: DriverTopic,
  asked: Pick<TopicSpec, 'order' | 'partitions'>,
  signal: AbortSignal,
): Promise<void> {
  const differences = [
    ...differs('order', asked.order, topic.order),
    ...differs('partitions', asked.partitions, await openPartitions(driver, topic, asked, signal)),
  ]
  if (differences.length === 0) return
  throw new StreamError(
    'conflict',
    `topic "${topic.name}" exists with ${differences.join(', ')}; change it, or ask for what it is`,
    { details: { topic: topic.name } },
  )
}

async function openPartitions(
  driver: Driver,
  topic: DriverTopic,
  asked: Pick<TopicSpec, 'partitions'>,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (asked.partitions === undefined || !driver.capabilities.admin.includes('describe')) return undefined
  try {
    const { partitions } = await driver.admin.describeTopic(topic.name, signal)
    // A backend that shows its topics as one whole keeps the number to itself.
    if (partitions.some(({ id }) => id === noPartition)) return undefined
    return partitions.filter(({ state }) => state === 'open').length
  } catch (error) {
    // Who may use a topic need not be allowed to look at it.
    if (StreamError.is(error, 'permission-denied')) return undefined
    throw error
  }
}

function differs(name: string, asked: string | number | undefined, is: string | number | undefined): readonly string[] {
  return asked === undefined || is === undefined || asked === is ? [] : [`${name} ${is} instead of ${asked}`]
}
