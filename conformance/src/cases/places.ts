import type { Topic } from '@sluice/core'
import type { PartitionId } from '@sluice/driver'
import type { Case } from '../case.ts'
import { all, logShape } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { each, equal, rejects, that } from '../expect.ts'
import type { World } from '../harness.ts'
import { bench, drain, messages, numbers, range, sendAll, texts } from '../setup.ts'
import type { Bench } from '../setup.ts'

/** Where records go, and what receipts tell of it. */
export const placeCases: readonly Case[] = [
  {
    name: 'publish/receipt-names-its-place',
    title: 'a receipt names the partition and position at which its record is read',
    needs: (world) => (world.capabilities.receiptPosition ? true : 'the capability receiptPosition is false'),
    run: receiptPlace,
  },
  {
    name: 'publish/explicit-partition',
    title: 'a record goes to the partition it asks for, whatever its key; one that is not there is not-found',
    needs: explicitPartition,
    run: explicit,
  },
  {
    name: 'publish/explicit-partition-after-growth',
    title: 'a record can ask for a partition that came after its sender',
    needs: (world) =>
      all(
        logShape(world),
        explicitPartition(world),
        world.capabilities.repartition === false ? 'the capability repartition is false' : true,
      ),
    run: explicitAfterGrowth,
  },
]

function copies(context: CaseContext): number {
  return context.world.harness.copies ?? 1
}

function explicitPartition(world: World): true | string {
  return world.capabilities.explicitPartition ? true : 'the capability explicitPartition is false'
}

async function receiptPlace(context: CaseContext): Promise<void> {
  const { topic } = await bench(context)
  const receipts = await sendAll(topic, messages(200, 10))
  const reading = await drain(context, topic, 200)
  for (const [value, { partition, position }] of receipts.entries()) {
    const places = reading.deliveries.filter((one) => one.value === value)
    that(
      places.some((one) => one.partition === partition && one.position === position),
      `record ${value} has a receipt for ${partition}:${position}, and was read at ` +
        places.map((one) => `${one.partition}:${one.position}`).join(', '),
    )
  }
}

async function explicit(context: CaseContext): Promise<void> {
  const made = await bench(context, context.world.order === 'key' ? { partitions: 3 } : {})
  const partitions = await openPartitions(made)
  await sendTo(made.topic, partitions, 0)
  await rejects(made.topic.send({ value: -1, partition: 'no-such' }), 'not-found', 'a send to a partition not there')
  await standWhereAsked(context, made, partitions, 0)
}

async function explicitAfterGrowth(context: CaseContext): Promise<void> {
  const made = await bench(context, { partitions: 2 })
  await sendTo(made.topic, await openPartitions(made), 0)
  const { admin } = await context.connect()
  await admin.setPartitions(made.name, 5)
  const partitions = await openPartitions(made)
  await sendTo(made.topic, partitions, 30)
  await standWhereAsked(context, made, partitions, 30)
}

async function openPartitions({ cloud, name }: Bench): Promise<readonly PartitionId[]> {
  const { partitions } = await cloud.admin.describeTopic(name)
  return partitions.filter((one) => one.state === 'open').map((one) => one.id)
}

/** Sends thirty records with the values from `first` on, with a few keys, to each of the partitions in turn. */
async function sendTo(topic: Topic<number>, partitions: readonly PartitionId[], first: number): Promise<void> {
  const asked = messages(30, 4, first).map((message) => ({ ...message, ...askedOf(message.value, partitions) }))
  await sendAll(topic, asked)
}

function askedOf(value: number, partitions: readonly PartitionId[]): { readonly partition?: PartitionId } {
  const partition = partitions[value % partitions.length]
  return partition === undefined ? {} : { partition }
}

/** The records from `first` on, of all there are, were sent by {@link sendTo}. */
async function standWhereAsked(
  context: CaseContext,
  { name }: Bench,
  partitions: readonly PartitionId[],
  first: number,
): Promise<void> {
  const topic = numbers(await context.connect(), name)
  const reading = await drain(context, topic, first + 30)
  each(texts(reading.values()), texts(range(first + 30)), copies(context), 'records that ask for partitions')
  const astray = reading.deliveries
    .filter((one) => one.value >= first && one.partition !== askedOf(one.value, partitions).partition)
    .map((one) => `${one.value} in ${one.partition}`)
  equal(astray, [], 'records that are not where they asked to be')
}
