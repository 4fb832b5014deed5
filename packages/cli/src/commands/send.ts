import { open } from 'node:fs/promises'
import type { OutgoingMessage, Receipt, Topic } from '@sluice/core'
import { StreamError } from '@sluice/driver'
import { collect, parseHeaders, text } from '../arguments.ts'
import type { CommandContext, Register } from '../command-context.ts'
import { UsageError } from '../failure.ts'
import { readLines } from '../lines.ts'
import { RateLine } from '../rate-line.ts'
import { counted } from '../words.ts'

/** How long sends that are under way may still take after Ctrl-C, in milliseconds. */
const graceMs = 5_000
/** Sends under way before the next line is read. */
const maxPending = 1_000

interface SendPlan {
  readonly key: string | undefined
  readonly keyFrom: string | undefined
  readonly partition: string | undefined
  readonly headers: Record<string, string>
  readonly asText: boolean
}

/** `sluice send` */
export const registerSend: Register = (program, act) => {
  program
    .command('send <topic> [value]')
    .description('send one value, JSON where it parses, else text; or one per line of a file or of stdin')
    .option('-k, --key <key>', 'key of every message')
    .option('--key-from <field>', "take each message's key from this field of its value")
    .option('--partition <partition>', 'the partition to store every message in; default: where its key belongs')
    .option('-H, --header <name=value>', 'a header; may be repeated', collect, [])
    .option('-f, --file <path>', 'newline-delimited JSON to send; a line that is no JSON ends it, unless --text')
    .option('--stdin', 'the same from stdin')
    .option('--create', 'make the topic when it does not exist')
    .option('--text', 'values are text, even where they would parse as JSON')
    .action(
      act(async (context, [topic = '', value], options) => {
        const inputs = [value !== undefined, text(options, 'file') !== undefined, options['stdin'] === true]
        if (inputs.filter(Boolean).length !== 1)
          throw new UsageError('give a value, or --file, or --stdin: one of the three')
        const [key, keyFrom] = [text(options, 'key'), text(options, 'keyFrom')]
        if (key !== undefined && keyFrom !== undefined)
          throw new UsageError('give --key, or --key-from: one of the two')
        const plan: SendPlan = {
          key,
          keyFrom,
          partition: text(options, 'partition'),
          headers: parseHeaders(options['header'] as string[]),
          asText: options['text'] === true,
        }
        const file = text(options, 'file')
        // Before connecting, which may make things: a file that is not there is a mistake.
        await using handle = file === undefined ? undefined : await open(file)
        await context.withCloud(
          async (cloud, signal) => {
            if (value !== undefined) return sendOne(context, cloud.topic(topic), oneMessage(value, plan), signal)
            const input = handle?.createReadStream() ?? context.host.stdin
            signal.addEventListener('abort', () => input.destroy(), { once: true })
            await sendLines(context, cloud.topic(topic), readLines(input), plan, signal)
          },
          { create: options['create'] === true, wayOut: 'make it with --create' },
        )
      }),
    )
}

async function sendOne(
  context: CommandContext,
  topic: Topic<unknown>,
  message: OutgoingMessage<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const receipt = await topic.send(message, { signal })
  context.output.result({ topic: topic.name, ...receipt }, `sent ${receipt.id}${placeOf(receipt)}`)
}

async function sendLines(
  context: CommandContext,
  topic: Topic<unknown>,
  lines: AsyncIterable<Uint8Array>,
  plan: SendPlan,
  signal: AbortSignal,
): Promise<void> {
  const pending = new Set<Promise<void>>()
  const rate = new RateLine(context.host.stderr, {
    verb: `sent to ${topic.name}`,
    quiet: context.output.quiet || context.output.json,
  })
  const giveUp = new AbortController()
  signal.addEventListener('abort', () => setTimeout(() => giveUp.abort(), graceMs).unref(), { once: true })
  let [lineNumber, sent, unconfirmed] = [0, 0, 0]
  let failure: LineFailure | undefined
  try {
    for await (const line of lines) {
      lineNumber++
      if (signal.aborted || failure !== undefined) break
      const message = lineMessage(line, plan, lineNumber)
      if (message === undefined) continue
      if (message instanceof UsageError) {
        failure = { error: message, line: lineNumber }
        break
      }
      const at = lineNumber
      const tracked: Promise<void> = topic
        .send(message, { signal: giveUp.signal })
        .then(
          () => rate.count(++sent),
          (error: unknown) => {
            unconfirmed++
            failure ??= { error, line: at }
          },
        )
        .finally(() => pending.delete(tracked))
      pending.add(tracked)
      if (pending.size >= maxPending) await Promise.race(pending)
    }
  } catch (error) {
    // The input was closed because of the interrupt.
    if (!signal.aborted) throw error
  } finally {
    await Promise.all(pending)
    rate.stop()
  }
  if (giveUp.signal.aborted && failure !== undefined)
    context.output.note(
      `${counted(unconfirmed, 'message')} from line ${failure.line} on, of ${lineNumber} lines that were read, had no answer and may be stored`,
    )
  if (failure === undefined || sent > 0)
    context.output.result({ topic: topic.name, sent }, `sent ${counted(sent, 'message')} to ${topic.name}`)
  if (failure !== undefined) throw withStored(failure, sent)
}

interface LineFailure {
  readonly error: unknown
  readonly line: number
}

/** The error of a line, with what not to send again. */
function withStored({ error, line }: LineFailure, sent: number): unknown {
  if (error instanceof UsageError) {
    const before =
      sent === 0 ? 'nothing is stored' : `the ${counted(sent, 'message')} of the lines before it are stored`
    return new UsageError(`${error.message}; ${before}, go on from line ${line}`)
  }
  if (!StreamError.is(error) || sent === 0) return error
  const said = `line ${line} was not sent (${counted(sent, 'other message')} of the input are stored): ${error.message}`
  return new StreamError(error.code, said, { cause: error, details: error.details })
}

/** One value: people write text without quotes. */
function oneMessage(value: string, plan: SendPlan): OutgoingMessage<unknown> {
  let parsed: unknown = value
  try {
    if (!plan.asText) parsed = JSON.parse(value)
  } catch {
    parsed = value
  }
  return toMessage(parsed, plan, 1)
}

/** One of many values: a line that is broken must not end up as text between objects. `undefined` when it is empty. */
function lineMessage(
  line: Uint8Array,
  plan: SendPlan,
  lineNumber: number,
): OutgoingMessage<unknown> | UsageError | undefined {
  const said = decode(line)
  if (said === undefined) return new UsageError(`line ${lineNumber} is no text in UTF-8`)
  if (said.trim() === '') return undefined
  try {
    return toMessage(plan.asText ? said : JSON.parse(said), plan, lineNumber)
  } catch (error) {
    if (error instanceof UsageError) return error
    return new UsageError(`line ${lineNumber} is no JSON, and text takes --text: ${clip(said)}`)
  }
}

/** `undefined` for what is not UTF-8, which would be stored changed. */
function decode(line: Uint8Array): string | undefined {
  try {
    return utf8.decode(line)
  } catch {
    return undefined
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function clip(line: string): string {
  return line.length <= 60 ? line : `${line.slice(0, 59)}…`
}

function toMessage(value: unknown, plan: SendPlan, lineNumber: number): OutgoingMessage<unknown> {
  const key = plan.keyFrom === undefined ? plan.key : keyOf(value, plan.keyFrom, lineNumber)
  return { value, key, headers: plan.headers, partition: plan.partition }
}

function keyOf(value: unknown, field: string, lineNumber: number): string {
  const key = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[field] : undefined
  if (typeof key === 'string' || typeof key === 'number') return String(key)
  throw new UsageError(`the value of line ${lineNumber} has no text or number "${field}" to take its key from`)
}

function placeOf(receipt: Receipt): string {
  if (receipt.partition === undefined) return ''
  return ` to ${receipt.partition}${receipt.position === undefined ? '' : `:${receipt.position}`}`
}
