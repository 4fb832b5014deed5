import { Bucket } from '@nats-io/kv'
import { parseBackendUrl, silentLogger, systemClock } from '@sluice/driver'
import { beforeAll, afterAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { parseConfig } from '../src/config.ts'
import { Connection } from '../src/connection.ts'
import { Store } from '../src/store.ts'
import { findServer, obtainServer } from './server.ts'
import type { RunningServer } from './server.ts'
import { needs } from './suite.ts'

const source = await findServer()
const missing = source.kind === 'none' ? `no nats-server: ${source.reason}` : undefined
const key = 'groups.t.g'

describe('a key of the bucket', () => {
  needs(missing)
  let running: RunningServer | undefined
  let connection: Connection | undefined
  let store: Store

  beforeAll(async () => {
    if (source.kind === 'none') return
    running = await obtainServer(source)
    const config = parseConfig(parseBackendUrl(running.url))
    const signal = AbortSignal.timeout(10_000)
    const ports = { clock: systemClock, logger: silentLogger, random: Math.random, leaseStore: undefined, signal }
    connection = await Connection.open(config, ports)
    store = new Store(connection, config)
    await store.prepare()
    await store.create(key, { from: 1 })
  })

  afterAll(async () => {
    await connection?.close()
    await running?.stop()
  })

  /** So often the server says that there is no message, as when it cannot load one. */
  function deny(times: number): () => number {
    const get = vi.spyOn(Bucket.prototype, 'get')
    for (let count = 0; count < times; count++) get.mockResolvedValueOnce(null)
    onTestFinished(() => get.mockRestore())
    return () => get.mock.calls.length
  }

  it('is read again when the server counts it and does not give it out', async () => {
    const reads = deny(2)
    expect(await store.get(key)).toMatchObject({ key, value: { from: 1 } })
    expect(reads()).toBe(3)
  })

  it('is not missing because the server never gives it out', async () => {
    deny(3)
    await expect(store.get(key)).rejects.toMatchObject({ code: 'unavailable', retryable: true })
  })

  it('is missing at the first answer when the server does not count it', async () => {
    const reads = deny(0)
    expect(await store.get('groups.t.other')).toBeUndefined()
    expect(reads()).toBe(1)
  })
})
