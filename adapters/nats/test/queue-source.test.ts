import { silentLogger } from '@sluice/driver'
import type { QueuedRecord } from '@sluice/driver'
import { ManualClock } from '@sluice/driver/testing'
import { describe, expect, it } from 'vitest'
import { NatsQueueSource } from '../src/queue-source.ts'
import type { QueueSourceContext } from '../src/queue-source.ts'
import { FakeServer } from './fake-server.ts'

const leaseMs = 30_000

class Fixture {
  readonly server = new FakeServer()
  readonly clock = new ManualClock()
  readonly stop = new AbortController()
  readonly source: NatsQueueSource

  constructor() {
    const context: Partial<Record<keyof QueueSourceContext, unknown>> = {
      connection: this.server.connection,
      clock: this.clock,
      logger: silentLogger,
      topic: { name: 'jobs', stream: 'S', info: { partitions: [{ id: '0' }] } },
      group: 'g',
      durables: { announce: () => ({ unsubscribe: () => undefined }) },
      durable: { name: 'C', leaseMs },
      onClosed: () => undefined,
    }
    this.source = new NatsQueueSource(context as unknown as QueueSourceContext)
  }

  pull(): Promise<readonly QueuedRecord[]> {
    return this.source.pull({ records: 10, bytes: 10_000 }, this.stop.signal)
  }

  /** Brings the first record, and with it a request that stands. */
  async begin(): Promise<void> {
    const first = this.pull()
    await this.clock.advance(0)
    this.server.deliver()
    await first
  }

  said(word: string): readonly string[] {
    return this.server.published.filter(({ text }) => text === word).map(({ subject }) => subject)
  }
}

describe('a source of a topic without order', () => {
  it('hands out at once what comes between two pulls, and asks for nothing anew', async () => {
    const fixture = new Fixture()
    await fixture.begin()
    const token = fixture.server.deliver()
    expect((await fixture.pull()).map((record) => record.token)).toEqual([token])
    expect(fixture.server.requests).toBe(1)
  })

  it('extends the lease of what was not handed out yet, with the leases it is asked for', async () => {
    const fixture = new Fixture()
    await fixture.begin()
    const token = fixture.server.deliver()
    await fixture.clock.advance(leaseMs / 3)
    await fixture.source.extend([], fixture.stop.signal)
    await fixture.clock.advance(leaseMs / 3)
    expect((await fixture.pull()).map((record) => record.token)).toEqual([token])
    expect(fixture.said('+WPI')).toEqual([token])
  })

  it('gives back what nobody took in half a lease', async () => {
    const fixture = new Fixture()
    await fixture.begin()
    const token = fixture.server.deliver()
    await fixture.clock.advance(leaseMs / 2 + 1)
    const pull = fixture.pull()
    await fixture.clock.advance(0)
    const later = fixture.server.deliver()
    expect((await pull).map((record) => record.token)).toEqual([later])
    expect(fixture.said('-NAK')).toEqual([token])
  })

  it('gives back what comes after the last pull, when there will be none', async () => {
    const fixture = new Fixture()
    await fixture.begin()
    const token = fixture.server.deliver()
    fixture.stop.abort()
    await fixture.clock.advance(0)
    expect(fixture.said('-NAK')).toEqual([token])
    expect(fixture.server.requests).toBe(0)
  })

  it('brings nothing after a second without a record', async () => {
    const fixture = new Fixture()
    const pull = fixture.pull()
    await fixture.clock.advance(1_000)
    fixture.server.tell(408, 'Request Timeout')
    expect(await pull).toEqual([])
  })
})
