import { StreamError } from '@sluice/driver'
import type { PartitionDescription, TopicDescription, TopicSpec } from '@sluice/driver'
import type { Cloud } from '@sluice/core'
import { parseCount, text } from '../arguments.ts'
import type { Register } from '../command-context.ts'
import { UsageError } from '../failure.ts'
import { noteLeftOut } from '../left-out.ts'
import { counted, durationOption, durationWords } from '../words.ts'

/** `sluice topics` */
export const registerTopics: Register = (program, act) => {
  const topics = program.command('topics').description('look after topics')
  for (const register of [list, create, describe, grow, remove]) register(topics, act)
}

const list: Register = (topics, act) => {
  topics
    .command('list')
    .description('names of all topics')
    .action(
      act((context) =>
        context.withCloud(async (cloud) => {
          const names = await cloud.admin.listTopics()
          for (const name of names) context.output.result({ topic: name }, name)
          if (names.length === 0) context.output.note('no topics')
        }),
      ),
    )
}

const create: Register = (topics, act) => {
  topics
    .command('create <topic>')
    .description('make a topic; fine when it exists and fits')
    .option('-p, --partitions <count>', 'partitions')
    .option('--order <order>', 'key or none')
    .option('--retention <duration>', 'how long records are kept, such as 7d')
    .option('--retention-bytes <size>', 'how much is kept, such as 1GiB')
    .action(
      act(async (context, [name = ''], options) => {
        const spec = await parseSpec(options)
        await context.withCloud(async (cloud) => {
          refuseRetention(cloud, name, spec)
          const outcome = await cloud.admin.createTopic(name, spec)
          context.output.result({ topic: name, outcome }, `${name}: ${outcome}`)
        })
      }),
    )
}

/** What the backend would refuse too, in terms of the API. */
function refuseRetention(
  { capabilities, name }: Cloud,
  topic: string,
  { retentionBytes, retentionMs }: TopicSpec,
): void {
  const { bytes, maxMs, minMs } = capabilities.retention
  const details = { topic }
  if (retentionMs !== undefined && (retentionMs < minMs || retentionMs > maxMs)) {
    const span =
      maxMs === Infinity ? `${durationOption(minMs)} or more` : `${durationOption(minMs)} to ${durationOption(maxMs)}`
    throw new StreamError(
      'invalid-argument',
      `topic "${topic}" cannot keep its records for ${durationWords(retentionMs)}; write --retention ${span}`,
      { details },
    )
  }
  if (retentionBytes !== undefined && !bytes)
    throw new StreamError('unsupported', `${name} does not bound a topic by its size; leave --retention-bytes out`, {
      details,
    })
}

const describe: Register = (topics, act) => {
  topics
    .command('describe <topic>')
    .description('partitions, positions and retention')
    .option('--all', 'also partitions that have ended and hold no records, as far as the backend tells')
    .action(
      act((context, [name = ''], options) =>
        context.withCloud(async (cloud) => {
          const description = await cloud.admin.describeTopic(name)
          const { output } = context
          output.result(description, toText(description))
          if (output.json) return
          const { partitions } = description
          const shown = options['all'] === true ? partitions : partitions.filter(isOfUse)
          output.table(partitionRows(shown), partitionColumns)
          noteLeftOut(output, partitions.length - shown.length)
        }),
      ),
    )
}

function isOfUse({ records = 0, state }: PartitionDescription): boolean {
  return state === 'open' || records > 0
}

const grow: Register = (topics, act) => {
  topics
    .command('grow <topic> <partitions>')
    .description('change the number of partitions; keys keep their order')
    .option('--shrink', 'to fewer partitions than there are')
    .action(
      act((context, [name = '', count = ''], options) => {
        const partitions = parseCount(count, 'the number of partitions')
        return context.withCloud(async (cloud) => {
          if (options['shrink'] !== true) await refuseToShrink(cloud, name, partitions)
          await cloud.admin.setPartitions(name, partitions)
          context.output.result({ topic: name, partitions }, `${name}: ${counted(partitions, 'partition')}`)
        })
      }),
    )
}

/** Who says `grow` and a smaller number has most likely mistaken the number. */
async function refuseToShrink(cloud: Cloud, name: string, wanted: number): Promise<void> {
  if (cloud.capabilities.repartition === false || !cloud.capabilities.admin.includes('describe')) return
  const { partitions } = await cloud.admin.describeTopic(name)
  const open = partitions.filter(({ state }) => state === 'open').length
  if (wanted < open)
    throw new UsageError(`"${name}" has ${counted(open, 'partition')}, ${wanted} is fewer; say --shrink if you mean it`)
}

const remove: Register = (topics, act) => {
  topics
    .command('delete <topic>')
    .description('delete a topic with its records and progress')
    .option('--yes', 'really')
    .action(
      act((context, [name = ''], options) => {
        if (options['yes'] !== true)
          throw new UsageError(`deleting "${name}" deletes its records; say --yes if you mean it`)
        return context.withCloud(async (cloud) => {
          await cloud.admin.deleteTopic(name)
          context.output.result({ topic: name, outcome: 'deleted' }, `${name}: deleted`)
        })
      }),
    )
}

async function parseSpec(options: Readonly<Record<string, unknown>>): Promise<TopicSpec> {
  const { parseDuration, parseSize } = await import('@sluice/runtime')
  const [partitions, order] = [text(options, 'partitions'), text(options, 'order')]
  const [retention, bytes] = [text(options, 'retention'), text(options, 'retentionBytes')]
  if (order !== undefined && order !== 'key' && order !== 'none')
    throw new UsageError(`--order is key or none, not "${order}"`)
  return {
    ...(partitions === undefined ? {} : { partitions: parseCount(partitions, '--partitions') }),
    ...(order === undefined ? {} : { order }),
    ...(retention === undefined ? {} : { retentionMs: measured(retention, parseDuration, '--retention', '7d') }),
    ...(bytes === undefined ? {} : { retentionBytes: measured(bytes, parseSize, '--retention-bytes', '1GiB') }),
  }
}

function measured(value: string, parse: (value: string) => number | undefined, name: string, example: string): number {
  const parsed = parse(value)
  if (parsed === undefined) throw new UsageError(`${name} is written like ${example}, not "${value}"`)
  return parsed
}

function toText(topic: TopicDescription): string {
  const retention = topic.retentionMs === undefined ? 'for ever' : durationWords(topic.retentionMs)
  const bytes = topic.retentionBytes === undefined ? '' : `, at most ${topic.retentionBytes} bytes`
  const open = topic.partitions.filter(({ state }) => state === 'open').length
  const ended = topic.partitions.length - open
  const partitions = `${counted(open, 'partition')}${ended === 0 ? '' : ` (and ${ended} that ended)`}`
  return `${topic.name}: order ${topic.order}, ${partitions}, kept ${retention}${bytes}`
}

const partitionColumns = ['partition', 'state', 'records', 'bytes', 'earliest', 'latest', 'parents'] as const

function partitionRows(
  partitions: readonly PartitionDescription[],
): readonly Record<(typeof partitionColumns)[number], unknown>[] {
  return partitions.map(({ id, state, records, bytes, earliest, latest, parents }) => ({
    partition: id,
    state,
    records,
    bytes,
    earliest,
    latest,
    parents: parents.length === 0 ? undefined : parents.join(','),
  }))
}
