import { createServer, connect as dial } from 'node:net'
import type { Server, Socket } from 'node:net'
import { Pipe } from './pipe.ts'

/** Linux gives out ports from 32768 on, others from 49152. */
const [lowestPort, ports, attempts] = [16_384, 16_384, 50]

/** Where a server listens. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  readonly pipes: readonly [up: Pipe, down: Pipe]
  /** Resolves when both sockets are closed. */
  readonly closed: Promise<unknown>
}

/**
 * Stands between clients and one server on loopback, and does to their connections what networks do. It knows no
 * protocol. Faults hold until they are taken back; several can hold at once. Everything it opens ends with `close`.
 */
export class TcpProxy implements AsyncDisposable {
  readonly #target: Endpoint
  readonly #pairs = new Set<Pair>()
  #server: Server | undefined
  #port = 0
  #latencyMs = 0
  #bytesPerSecond = Infinity
  #resetAfterBytes = Infinity
  #accepted = 0

  private constructor(target: Endpoint) {
    this.#target = target
  }

  /** Listens on a free port of 127.0.0.1, and keeps to it. */
  static async start(target: Endpoint): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    await proxy.#listen()
    return proxy
  }

  /** Where clients connect. The same for the proxy's whole life. */
  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: this.#port }
  }

  /** Connections accepted so far. */
  get accepted(): number {
    return this.#accepted
  }

  /** Connections that are open now, dead ones included. */
  get open(): number {
    return this.#pairs.size
  }

  /** Resets every connection. New ones are served. */
  cut(): void {
    for (const pair of this.#pairs) end(pair)
  }

  /** Resets every connection and refuses new ones, until {@link accept}. */
  async refuse(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    const closed = server === undefined ? undefined : new Promise((resolve) => server.close(resolve))
    const ended = [...this.#pairs].map((pair) => pair.closed)
    this.cut()
    await Promise.all([closed, ...ended])
  }

  /** Takes {@link refuse} back. */
  async accept(): Promise<void> {
    if (this.#server === undefined) await this.#listen()
  }

  /** Every piece of data is on its way so much longer, in each direction, in its order. */
  latency(ms: number): void {
    this.#latencyMs = ms
  }

  /** At most so many bytes pass in a second, in each direction of each connection. `Infinity`: as many as will. */
  bandwidth(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond
  }

  /** Connections that are open now go dead: nothing passes, and neither side is told. New ones are served. */
  halfOpen(): void {
    for (const { pipes } of this.#pairs) for (const pipe of pipes) pipe.goDead()
  }

  /** Resets each connection when its client has sent so many bytes from now on. `Infinity`: none. */
  resetAfter(bytes: number): void {
    this.#resetAfterBytes = bytes
    for (const { pipes } of this.#pairs) pipes[0].passed = 0
  }

  /** Takes every fault back. Connections that are dead stay so: that is for their clients to find out. */
  async heal(): Promise<void> {
    this.latency(0)
    this.bandwidth(Infinity)
    this.resetAfter(Infinity)
    await this.accept()
  }

  /** Ends every connection and stops listening. Idempotent. */
  async close(): Promise<void> {
    await this.refuse()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #listen(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#serve(client))
    // Not one of those that the system gives out: it has to be free still when connections were refused for a while.
    for (let attempt = 1; this.#port === 0; attempt++) {
      const port = lowestPort + Math.floor(Math.random() * ports)
      const error = await listenOn(server, port)
      if (error === undefined) this.#port = port
      else if (attempt === attempts) throw error
    }
    if (!server.listening) {
      const error = await listenOn(server, this.#port)
      if (error !== undefined) throw error
    }
    this.#server = server
  }

  #serve(client: Socket): void {
    this.#accepted++
    const server = dial({ ...this.#target, allowHalfOpen: true, noDelay: true })
    const faults = {
      latencyMs: () => this.#latencyMs,
      bytesPerSecond: () => this.#bytesPerSecond,
      onPassed: (pipe: Pipe) => {
        if (pipe === pair.pipes[0] && pipe.passed >= this.#resetAfterBytes) end(pair)
      },
    }
    const closed = [client, server].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    const pipes = [new Pipe(client, server, faults), new Pipe(server, client, faults)] as const
    const pair: Pair = { client, server, pipes, closed: Promise.all(closed).then(() => this.#pairs.delete(pair)) }
    this.#pairs.add(pair)
    // A reset of one side is one of the other; what broke is for the two ends to tell. Of a dead one nobody is told.
    for (const socket of [client, server]) socket.on('error', () => (pipes[0].dead ? undefined : end(pair)))
  }
}

/** Resolves with what is in the way, if something is. */
function listenOn(server: Server, port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen({ host: '127.0.0.1', port }, () => {
      server.removeListener('error', resolve)
      resolve(undefined)
    })
  })
}

/** Both sides see a reset, not an end in good order. */
function end({ client, server, pipes }: Pair): void {
  for (const pipe of pipes) pipe.stop()
  for (const socket of [client, server]) reset(socket)
}

/**
 * Resets a connection now. Node (24.21) first ends its writing side and waits for that, and what breaks meanwhile it
 * destroys on the spot; but a reset of what is ending is refused (EINVAL), and then Node neither closes the socket nor says so.
 */
function reset(socket: Socket): void {
  if (socket.connecting || (socket.writableEnded && !socket.writableFinished)) return void socket.destroy()
  socket.destroySoon = () => void socket.destroy()
  socket.resetAndDestroy()
}
