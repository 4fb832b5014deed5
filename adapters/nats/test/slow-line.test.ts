import { TcpProxy } from '@sluice/conformance'
import { text } from '@sluice/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fresh, open, server } from './fixtures.ts'
import { findBinary } from './server.ts'
import { needs } from './suite.ts'

const found = await findBinary()

describe('over a slow line', () => {
  needs('tried' in found ? `no nats-server: ${found.tried.join('; ')}` : undefined)

  it(
    'large records arrive once, though all of them take far longer than an answer may',
    { timeout: 60_000 },
    async () => {
      if ('tried' in found) throw new Error('not skipped')
      const { port } = await server(found)
      const proxy = await TcpProxy.start({ host: '127.0.0.1', port })
      onTestFinished(() => proxy.close())
      const cloud = await open(`nats://127.0.0.1:${proxy.endpoint.port}/?requestTimeoutMs=500`)
      const topic = cloud.topic(fresh('slow'), { codec: text })
      const producer = topic.producer()
      await producer.send({ key: 'k0', value: 'before' })
      // 4 MiB: 4 seconds.
      proxy.bandwidth(1024 * 1024)
      const value = 'x'.repeat(64 * 1024)
      await Promise.all(Array.from({ length: 64 }, (_, at) => producer.send({ key: `k${at % 4}`, value })))
      expect(producer.stats().retries).toBe(0)
    },
  )
})
