import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Topic } from '@sluice/core'
import type { TopicOrder } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import type { NatsBinary } from '@sluice/emulators'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Cluster } from './cluster.ts'
import { fresh, open, topicOf } from './fixtures.ts'
import { isOld } from './harness.ts'
import { findBinary } from './server.ts'
import { needs } from './suite.ts'

const binary = await findBinary()
const keys = 16
const windowPerKey = 10
/** Three servers beside other tests, and each is caught up with: much more than it takes alone. */
const patienceMs = 100_000

/** Sends values from 1 on with each key, some at once, until it is stopped; knows what is stored. */
class Sending {
  readonly stored: number[] = Array.from({ length: keys }, () => 0)
  readonly #done = new AbortController()
  readonly #running: Promise<unknown>

  constructor(topic: Topic<number>) {
    const producer = topic.producer()
    const sendAll = async (key: number): Promise<void> => {
      for (let next = 1; !this.#done.signal.aborted; next += windowPerKey) {
        const values = Array.from({ length: windowPerKey }, (_, at) => next + at)
        await Promise.all(values.map((value) => producer.send({ key: String(key), value })))
        this.stored[key] = next + windowPerKey - 1
        // Not as fast as it goes: the servers are to have time to elect leaders.
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    this.#running = Promise.all(this.stored.map((_, key) => sendAll(key)))
  }

  /** Resolves when of each key more is stored than now. */
  more(): Promise<void> {
    const before = [...this.stored]
    return eventually(() => {
      const behind = this.stored.filter((count, key) => count <= (before[key] ?? 0) + windowPerKey).length
      if (behind > 0) throw new Error(`nothing more of ${behind} keys was stored`)
    }, patienceMs)
  }

  async stop(): Promise<void> {
    this.#done.abort()
    await this.#running
  }
}

/** Reads with a group; knows in which order the values of each key came first. */
function read(topic: Topic<number>): { readonly firsts: readonly number[][]; stop(): Promise<void> } {
  const firsts: number[][] = Array.from({ length: keys }, () => [])
  const seen = firsts.map(() => new Set<number>())
  const consumer = topic.consumer({ group: 'g', commitIntervalMs: 100 })
  const reading = consumer.run(({ key, value }) => {
    const of = Number(key)
    if (seen[of]?.has(value) === false) firsts[of]?.push(value)
    seen[of]?.add(value)
  })
  // What it says is told when it is stopped.
  reading.catch(() => undefined)
  const stop = async (): Promise<void> => {
    await consumer.close()
    await reading
  }
  return { firsts, stop }
}

describe('a cluster of three whose servers are killed in turn', () => {
  needs('tried' in binary ? `no nats-server: ${binary.tried.join('; ')}` : whyNot(binary))

  it('loses nothing that was acknowledged, and keeps the order of keys', { timeout: 500_000 }, async () => {
    if ('tried' in binary) throw new Error('not skipped')
    const cluster = await Cluster.start(binary)
    onTestFinished(() => cluster.close())
    await cluster.ready()
    const url = `${cluster.url}/?replicas=3&failoverMs=3000&leaseMs=3000&pingIntervalMs=1000`
    const patient = { connectTimeoutMs: patienceMs }
    const [producing, consuming] = [await open(url, patient), await open(url, patient)]
    const topics: { readonly name: string; readonly order: TopicOrder }[] = []
    for (const order of ['key', 'none'] as const) {
      const name = fresh(`turns-${order}`)
      await producing.admin.createTopic(name, { order })
      topics.push({ name, order })
    }
    const runs = topics.map(({ name, order }) => {
      return { order, sending: new Sending(topicOf(producing, name)), reading: read(topicOf(consuming, name)) }
    })
    const more = (): Promise<unknown> => Promise.all(runs.map(({ sending }) => sending.more()))

    await more()
    for (const server of cluster.servers) {
      await server.kill()
      await more()
      await server.restart()
      for (const stream of [...topics.map(({ name }) => name), 'KV_sluice']) await allCurrent(cluster, stream)
    }
    await Promise.all(runs.map(({ sending }) => sending.stop()))
    for (const { order, sending, reading } of runs) {
      const all = sending.stored.map((count) => Array.from({ length: count }, (_, at) => at + 1))
      await eventually(() => expect(reading.firsts.map(({ length }) => length)).toEqual(sending.stored), patienceMs)
      expect(order === 'key' ? reading.firsts : reading.firsts.map(inOrder)).toEqual(all)
      await reading.stop()
    }
  })
})

/** Copies of nats-server 2.9 may lack records after a kill that had nothing to do with Sluice: see docs/known-gaps.md. */
function whyNot(binary: NatsBinary): string | undefined {
  return isOld(binary) ? `copies of nats-server ${binary.version} lack records after a kill` : undefined
}

function inOrder(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b)
}

/** Resolves when every copy of the stream is up to date: else the next server that goes would take the majority with it. */
function allCurrent(cluster: Cluster, stream: string): Promise<void> {
  return eventually(async () => {
    const client = await connect({ servers: cluster.servers.map(({ port }) => `127.0.0.1:${port}`) })
    try {
      const manager = await jetstreamManager(client, { checkAPI: false })
      const { cluster: copies } = await manager.streams.info(stream)
      expect(copies?.replicas?.map(({ current }) => current)).toEqual([true, true])
    } finally {
      await client.close()
    }
  }, patienceMs)
}
