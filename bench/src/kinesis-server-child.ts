import { KinesisServer } from '@sluice/emulators'

/** What the server's process tells the one that measures it. */
export type Told =
  | { readonly what: 'started'; readonly port: number; readonly startMs: number }
  | { readonly what: 'memory'; readonly rssMiB: number }

/** A Kinesis server in a process of its own; it ends with the one that started it. */
async function main(): Promise<void> {
  const started = performance.now()
  const server = await KinesisServer.start({ quotas: false, stateMs: 0 })
  const tell = (told: Told): void => void process.send?.(told)
  tell({ what: 'started', port: server.port, startMs: performance.now() - started })
  process.on('message', () => {
    globalThis.gc?.()
    tell({ what: 'memory', rssMiB: process.memoryUsage.rss() / 1024 / 1024 })
  })
  process.on('disconnect', () => process.exit())
}

await main()
