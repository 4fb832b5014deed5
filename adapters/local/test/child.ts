// A process of its own that produces to, or consumes from, a folder; started by processes.test.ts.
import { parseBackendUrl, silentLogger, systemClock } from '@sluice/driver'
import type { Position } from '@sluice/driver'
import { parseConfig } from '../src/config.ts'
import { openLocal } from '../src/module.ts'
import { StoreRegistry } from '../src/store/registry.ts'

const [role = '', address = '', name = '', count = '0'] = process.argv.slice(2)
const live = new AbortController().signal
const tell = (message: unknown): void => void process.send?.(message)

const driver = await openLocal(
  parseConfig(parseBackendUrl(address)),
  { clock: systemClock, logger: silentLogger, random: Math.random, leaseStore: undefined, signal: live },
  new StoreRegistry(),
)
const topic = await driver.openTopic('t', live)
if (role === 'produce') await produce()
else await consume()
await driver.close()
process.disconnect?.()

async function produce(): Promise<void> {
  const producer = await topic.producer(live)
  for (let sent = 0; sent < Number(count); sent += 10) {
    const records = Array.from({ length: 10 }, (_, i) => ({
      id: `${name}-${sent + i}`,
      key: `${name}-${i % 3}`,
      headers: {},
      body: new TextEncoder().encode(String(sent + i)),
      producedAtMs: 0,
      expiresAtMs: undefined,
      partition: undefined,
    }))
    await producer.sendBatch(records, live)
    tell({ acked: sent + 10 })
  }
}

async function consume(): Promise<void> {
  const stop = new AbortController()
  process.once('message', () => stop.abort())
  const source = await topic.subscribe(
    {
      group: 'g',
      member: name,
      start: { kind: 'earliest' },
      events: {
        assigned: (partition, epoch) => tell({ assigned: partition, epoch }),
        revoking: async () => undefined,
        lost: () => undefined,
        ended: () => undefined,
        failed: (error) => tell({ failed: error.message }),
      },
    },
    live,
  )
  if (source.shape !== 'log') throw new Error('not a log')
  while (!stop.signal.aborted) {
    const records = await source.poll({ records: 20, bytes: 1e6 }, live)
    if (records.length === 0) continue
    const last = new Map<string, { epoch: number; through: Position | undefined }>()
    for (const { partition, epoch, position } of records) last.set(partition, { epoch, through: position })
    const commits = [...last].map(([partition, { epoch, through }]) => ({ partition, epoch, through, ended: false }))
    tell({ received: records.map((record) => [record.partition, record.position, record.id]) })
    await source.commit(commits, live)
  }
  await source.close()
}
