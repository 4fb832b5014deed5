import { DynamoDbServer, KinesisServer } from '@sluice/emulators'

/** What the server's process tells the one that started it. */
export type Told =
  | { readonly what: 'started'; readonly port: number; readonly startMs: number }
  | { readonly what: 'memory'; readonly rssMiB: number }
  | { readonly what: 'done' }

/** What it is asked: how much memory it takes, or to refuse every record of a shard; `undefined`: of none. */
export type Asked =
  | { readonly what: 'memory' }
  | { readonly what: 'throttle'; readonly stream: string; readonly shard: string | undefined }

/** The servers there are; `kinesis-with-quotas` refuses what is over the quotas of a shard. */
export type ServerName = 'kinesis' | 'kinesis-with-quotas' | 'dynamodb'

/** A server in a process of its own; it ends with the one that started it. */
async function main(which: ServerName): Promise<void> {
  const started = performance.now()
  const quotas = which === 'kinesis-with-quotas'
  const kinesis = which === 'dynamodb' ? undefined : await KinesisServer.start({ quotas, stateMs: 0 })
  const { port } = kinesis ?? (await DynamoDbServer.start())
  const tell = (told: Told): void => void process.send?.(told)
  tell({ what: 'started', port, startMs: performance.now() - started })
  process.on('message', (asked: Asked) => {
    if (asked.what === 'memory') {
      globalThis.gc?.()
      return tell({ what: 'memory', rssMiB: process.memoryUsage.rss() / 1024 / 1024 })
    }
    const { stream, shard } = asked
    kinesis?.faults.clear()
    if (shard !== undefined) kinesis?.faults.add({ kind: 'throttle', what: 'write', stream, shard })
    tell({ what: 'done' })
  })
  process.on('disconnect', () => process.exit())
}

await main(process.argv[2] as ServerName)
