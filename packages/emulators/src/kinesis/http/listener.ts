import { createServer as createHttp1 } from 'node:http'
import type { IncomingMessage, Server as Http1Server } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import type { Http2Server, Http2ServerRequest, ServerHttp2Session } from 'node:http2'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

export type Request = IncomingMessage | Http2ServerRequest

/** What both kinds of answer can do: their types have no method in common. */
export interface Response {
  readonly headersSent: boolean
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown
  write(chunk: Buffer, done?: () => void): boolean
  end(body: Buffer): unknown
  on(event: 'close' | 'drain', listener: () => void): unknown
  removeListener(event: 'close' | 'drain', listener: () => void): unknown
}

/** The first bytes of HTTP/2 without TLS, when the client knows beforehand. */
const http2Preface = 'PRI '

/** HTTP/1.1 and HTTP/2 (by prior knowledge) on one port of loopback. */
export class Listener {
  readonly #server: Server
  readonly #http1: Http1Server
  readonly #http2: Http2Server
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<ServerHttp2Session>()

  constructor(handle: (request: Request, response: Response) => void) {
    this.#http1 = createHttp1({ keepAliveTimeout: 60_000 }, handle)
    this.#http2 = createHttp2({ settings: { maxConcurrentStreams: 1_000, initialWindowSize: 4 * 1024 * 1024 } }, handle)
    this.#http1.on('clientError', (_, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
      else socket.destroy()
    })
    this.#http2.on('session', (session) => {
      this.#sessions.add(session)
      session.once('close', () => this.#sessions.delete(session))
      session.setLocalWindowSize(16 * 1024 * 1024)
    })
    // A client that breaks the protocol loses its connection; that is all there is to do about it.
    this.#http2.on('sessionError', (_, session) => session.destroy())
    this.#server = createServer((socket) => this.#sniff(socket))
  }

  /** Resolves with the port once it listens there; 0 finds a free one. */
  async listen(port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, '127.0.0.1', () => resolve())
    })
    return (this.#server.address() as AddressInfo).port
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const session of this.#sessions) session.destroy()
    for (const socket of this.#sockets) socket.destroy()
    this.#http1.close()
    this.#http2.close()
    await closed
  }

  #sniff(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.once('close', () => this.#sockets.delete(socket))
    // Whoever hangs up has hung up.
    socket.on('error', () => socket.destroy())
    let first = Buffer.alloc(0)
    const look = (): void => {
      const more = socket.read() as Buffer | null
      if (more === null) return
      first = Buffer.concat([first, more])
      const start = first.toString('latin1', 0, http2Preface.length)
      if (start !== http2Preface && http2Preface.startsWith(start)) return
      socket.removeListener('readable', look)
      socket.unshift(first)
      const server = start === http2Preface ? this.#http2 : this.#http1
      server.emit('connection', socket)
    }
    socket.on('readable', look)
  }
}
