import type { Cloud, DeadLetter } from '@sluice/core'
import { StreamError } from '@sluice/driver'
import type { CommandContext, Register } from '../command-context.ts'
import { UsageError } from '../failure.ts'
import { bodyLine, showBody } from '../show-message.ts'

/** `sluice dead-letters` */
export const registerDeadLetters: Register = (program, act) => {
  const letters = program.command('dead-letters').description('look at what could not be handled, and send it back')
  letters
    .command('list <topic>')
    .description('dead letters of a topic, oldest first; give the topic itself or its dead-letter topic')
    .action(act((context, [topic = '']) => context.withCloud((cloud) => list(context, cloud, topic))))
  letters
    .command('show <topic> <letter>')
    .description('one dead letter with its body, headers, origin and reason')
    .action(act((context, [topic = '', id = '']) => context.withCloud((cloud) => show(context, cloud, topic, id))))
  letters
    .command('send-back <topic> [letters...]')
    .description('send dead letters back to the group that gave up on them; all that are named, or none')
    .option('--all', 'all of them')
    .action(
      act((context, [topic = '', ...ids], options) => {
        const all = options['all'] === true
        if (all === ids.length > 0) throw new UsageError('name the dead letters to send back, or --all')
        return context.withCloud((cloud) => sendBack(context, cloud, topic, all ? undefined : ids))
      }),
    )
}

async function list(context: CommandContext, cloud: Cloud, topic: string): Promise<void> {
  const rows: object[] = []
  for await (const letter of cloud.admin.deadLetters(await deadLetterTopic(cloud, topic))) rows.push(summary(letter))
  context.output.table(rows as Summary[], ['letter', 'id', 'time', 'origin', 'group', 'attempts', 'code', 'reason'])
  if (rows.length === 0) context.output.note('no dead letters')
}

async function show(context: CommandContext, cloud: Cloud, topic: string, name: string): Promise<void> {
  const from = await deadLetterTopic(cloud, topic)
  const letter = oneOf(await Array.fromAsync(cloud.admin.deadLetters(from)), name, from)
  context.output.result({ ...letter, body: showBody(letter.body) }, details(letter))
}

async function sendBack(
  context: CommandContext,
  cloud: Cloud,
  topic: string,
  names: readonly string[] | undefined,
): Promise<void> {
  const from = await deadLetterTopic(cloud, topic)
  let filter: ((letter: DeadLetter) => boolean) | undefined
  if (names !== undefined) {
    const letters = await Array.fromAsync(cloud.admin.deadLetters(from))
    const chosen = new Set(names.map((name) => oneOf(letters, name, from).letterId))
    filter = ({ letterId }) => chosen.has(letterId)
  }
  const sent = await cloud.admin.sendBack(from, filter)
  context.output.result({ topic: from, sent }, `sent back ${sent} of ${from}`)
}

/** The one dead letter that is named, by its place, by its own id, or by the id of its record if that stands for one only. */
function oneOf(letters: readonly DeadLetter[], name: string, topic: string): DeadLetter {
  const found = letters.filter((letter) => [placeOf(letter), letter.letterId, letter.id].includes(name))
  const [only] = found
  if (only === undefined) {
    throw new StreamError(
      'not-found',
      `there is no dead letter "${name}" in ${topic}; see \`sluice dead-letters list ${topic}\``,
      { details: { topic } },
    )
  }
  if (found.length === 1) return only
  const choices = found.map((letter) => {
    const place = placeOf(letter)
    return `${place === name ? letter.letterId : place} (group ${letter.origin.group})`
  })
  throw new StreamError(
    'conflict',
    `"${name}" stands for ${found.length} dead letters of ${topic}; name one of ${choices.join(', ')}`,
    { details: { topic } },
  )
}

/** Where the dead letter stands, `<partition>:<position>`; its own id where there are no positions. */
function placeOf({ partition, position, letterId }: DeadLetter): string {
  return position === undefined ? letterId : `${partition}:${position}`
}

/** People name the topic they know; its dead letters are beside it. */
async function deadLetterTopic(cloud: Cloud, topic: string): Promise<string> {
  const beside = `${topic}.dead-letters`
  if (topic.endsWith('.dead-letters') || !cloud.capabilities.admin.includes('list')) return topic
  return (await cloud.admin.listTopics()).includes(beside) ? beside : topic
}

interface Summary {
  /** What names the dead letter on the command line. */
  readonly letter: string
  /** The id of its record. */
  readonly id: string
  readonly time: string
  readonly origin: string
  readonly group: string
  readonly attempts: number
  readonly code: string | undefined
  readonly reason: string
}

function summary(letter: DeadLetter): Summary {
  const { topic, partition, position, group } = letter.origin
  const origin = `${topic}/${partition}${position === undefined ? '' : `:${position}`}`
  const { id, attempts, errorCode: code, reason } = letter
  return { letter: placeOf(letter), id, time: letter.time.toISOString(), origin, group, attempts, code, reason }
}

function details(letter: DeadLetter): string {
  const { letter: place, id, time, origin, group, attempts, code, reason } = summary(letter)
  const headers = Object.entries(letter.headers).map(([name, value]) => `  ${name}: ${value}`)
  return [
    `letter    ${place}`,
    `id        ${id}`,
    `time      ${time}`,
    `origin    ${origin}`,
    `group     ${group}`,
    `attempts  ${attempts}`,
    `error     ${code ?? '-'}: ${reason}`,
    `key       ${letter.key ?? '-'}`,
    'headers',
    ...headers,
    'body',
    `  ${bodyLine(letter.body)}`,
  ].join('\n')
}
