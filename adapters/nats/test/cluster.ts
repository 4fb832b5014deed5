import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { eventually } from '@sluice/driver/testing'
import { freePort, NatsServer } from '@sluice/emulators'
import type { NatsBinary } from '@sluice/emulators'

/** How long a cluster may take until it has a leader. */
const readyMs = 30_000

/** Servers that are a cluster. */
export class Cluster implements AsyncDisposable {
  readonly servers: readonly NatsServer[]

  private constructor(servers: readonly NatsServer[]) {
    this.servers = servers
  }

  /** Starts three. They are `ready` some time later. */
  static async start(binary: NatsBinary): Promise<Cluster> {
    const ports = await Promise.all([freePort(), freePort(), freePort()])
    const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(', ')
    const starts = ports.map((port, at) => {
      const config = `server_name: n${at}\ncluster { name: test, listen: "127.0.0.1:${port}", routes: [${routes}] }`
      return NatsServer.start(binary, { config })
    })
    const started = await Promise.allSettled(starts)
    const cluster = new Cluster(started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])))
    try {
      for (const each of started) if (each.status === 'rejected') throw each.reason
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  /** All of it: `nats://127.0.0.1:PORT,127.0.0.1:PORT,...` */
  get url(): string {
    return `nats://${this.servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`
  }

  /** Resolves when streams can be made. */
  async ready(): Promise<void> {
    const client = await connect({ servers: this.servers.map(({ port }) => `127.0.0.1:${port}`) })
    try {
      const manager = await jetstreamManager(client, { checkAPI: false })
      const probe = { name: 'ready', subjects: ['ready'], num_replicas: this.servers.length }
      await eventually(() => manager.streams.add(probe), readyMs)
      await eventually(() => manager.streams.delete(probe.name), readyMs)
    } finally {
      await client.close()
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
