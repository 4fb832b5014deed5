import { once } from 'node:events'
import { StreamError } from '@sluice/driver'
import { Argument } from 'commander'
import type { CommandContext, Register } from '../command-context.ts'
import type { NotFound } from '@sluice/emulators'
import { parseCount, text } from '../arguments.ts'
import { UsageError } from '../failure.ts'

type Options = Readonly<Record<string, unknown>>

/** Something that runs until it is closed. */
interface Emulator extends AsyncDisposable {
  readonly url: string
  /** How it is used, in a line. */
  readonly hint: string
  /** Resolves, with why, when it ends by itself. */
  readonly ended: Promise<string>
}

/** Those in this process end with it. */
const never = new Promise<string>(() => undefined)

/** How one is started, and the options that it takes besides the port. */
interface Kind {
  readonly start: (context: CommandContext, options: Options) => Promise<Emulator>
  readonly takes: readonly (keyof typeof optional)[]
}

/** What not all of them take, as it is written. */
const optional = { folder: '--folder', quotas: '--no-quotas', stateMs: '--state-ms' } as const

const emulators: Readonly<Record<string, Kind>> = {
  kinesis: { start: kinesis, takes: ['folder', 'quotas', 'stateMs'] },
  dynamodb: { start: dynamodb, takes: ['folder'] },
  // It keeps nothing.
  localstack: { start: localstack, takes: [] },
  nats: { start: nats, takes: ['folder'] },
}

/** `sluice emulators` */
export const registerEmulators: Register = (program, act) => {
  const group = program.command('emulators').description('brokers for a laptop and for tests, on 127.0.0.1')
  group
    .command('up')
    .addArgument(new Argument('<name>', 'which').choices(Object.keys(emulators)))
    .description(`start one and keep it until Ctrl-C: ${Object.keys(emulators).join(', ')}`)
    .option('--port <n>', 'where it listens; default: a free port')
    .option('--folder <folder>', 'keep its data there; default: it goes with it')
    .option('--no-quotas', "kinesis: without the service's quotas")
    .option('--state-ms <n>', 'kinesis: how long a stream takes to be made, changed or deleted; default 50')
    .action(
      act(async (context, [name = ''], options) => {
        const kind = emulators[name]
        if (kind === undefined) throw new UsageError(`there is no emulator "${name}"`)
        refuseOthers(name, kind, options)
        await context.interruptible(async (signal) => {
          await using emulator = await kind.start(context, options)
          context.output.result({ name, url: emulator.url }, `${name}  ${emulator.url}`)
          context.output.note(`${emulator.hint}; Ctrl-C ends it`)
          if (signal.aborted) return
          await Promise.race([
            once(signal, 'abort'),
            emulator.ended.then((why) => {
              throw new StreamError('unavailable', `${name} has ended by itself: ${why}`)
            }),
          ])
        })
      }),
    )
}

/** An option that would be passed over in silence is not what somebody meant. */
function refuseOthers(name: string, { takes }: Kind, options: Options): void {
  const given = { folder: options['folder'], quotas: options['quotas'] === false, stateMs: options['stateMs'] }
  for (const option of ['folder', 'quotas', 'stateMs'] as const) {
    if (takes.includes(option) || given[option] === undefined || given[option] === false) continue
    throw new UsageError(`${name} takes no ${optional[option]}`)
  }
}

async function kinesis(_: CommandContext, options: Options): Promise<Emulator> {
  const { KinesisServer } = await import('@sluice/emulators')
  const folder = text(options, 'folder')
  const stateMs = text(options, 'stateMs')
  const server = await KinesisServer.start({
    port: portOf(options),
    quotas: options['quotas'] !== false,
    ...(folder === undefined ? {} : { folder }),
    ...(stateMs === undefined ? {} : { stateMs: parseCount(stateMs, '--state-ms', 0) }),
  })
  const close = (): Promise<void> => server.close()
  const hint = `for Sluice 'kinesis://test:test@eu-west-1?endpoint=${server.url}&dynamoEndpoint=<that of: sluice emulators up dynamodb>'; for an AWS SDK the endpoint, with any credentials`
  return { url: server.url, hint, ended: never, [Symbol.asyncDispose]: close }
}

async function dynamodb(_: CommandContext, options: Options): Promise<Emulator> {
  const { DynamoDbServer } = await import('@sluice/emulators')
  const folder = text(options, 'folder')
  const server = await DynamoDbServer.start({ port: portOf(options), ...(folder === undefined ? {} : { folder }) })
  const close = (): Promise<void> => server.close()
  const hint = '`dynamoEndpoint` in a kinesis: address, for the leases of its consumers; by dynalite'
  return { url: server.url, hint, ended: never, [Symbol.asyncDispose]: close }
}

async function localstack({ host, output }: CommandContext, options: Options): Promise<Emulator> {
  const { findLocalStack, LocalStackServer } = await import('@sluice/emulators')
  // One that runs already is not what was asked for.
  const env = { ...host.env, LOCALSTACK_ENDPOINT: undefined }
  const found = await obtained('LocalStack', output, (provide) => findLocalStack({ env, provide }))
  const port = portOf(options)
  const server = await LocalStackServer.start(found, { env, ...(port === 0 ? {} : { port }) })
  const close = (): Promise<void> => server.close()
  const hint = `LocalStack ${server.version}, with Kinesis and DynamoDB`
  return { url: server.url, hint, ended: server.ended, [Symbol.asyncDispose]: close }
}

async function nats({ host: { env }, output }: CommandContext, options: Options): Promise<Emulator> {
  const { findNats, NatsServer } = await import('@sluice/emulators')
  const found = await obtained('nats-server', output, (provide) => findNats({ env, provide }))
  const [folder, port] = [text(options, 'folder'), portOf(options)]
  const server = await NatsServer.start(found, {
    ...(folder === undefined ? {} : { folder }),
    ...(port === 0 ? {} : { port }),
  })
  const close = (): Promise<void> => server.close()
  const hint = `nats-server ${server.version}, with JetStream`
  return { url: server.url, hint, ended: server.ended, [Symbol.asyncDispose]: close }
}

/** What is there, else what can be fetched, which is said before: it takes long. */
async function obtained<T extends object>(
  name: string,
  output: CommandContext['output'],
  find: (provide: boolean) => Promise<T | NotFound>,
): Promise<T> {
  const here = await find(false)
  if (!('tried' in here)) return here
  output.note(`fetching ${name}; the first time takes a minute or two`)
  const found = await find(true)
  if ('tried' in found) throw new UsageError(`${name} cannot be had here: ${found.tried.join('; ')}`)
  return found
}

function portOf(options: Options): number {
  const port = text(options, 'port')
  if (port === undefined) return 0
  const number = parseCount(port, '--port')
  if (number > 65_535) throw new UsageError(`there is no port ${port}; the highest is 65535`)
  return number
}
