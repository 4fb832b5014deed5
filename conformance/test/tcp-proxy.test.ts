import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { eventually } from '@sluice/driver/testing'
import { expect, it, onTestFinished } from 'vitest'
import { TcpProxy } from '../src/faults/tcp-proxy.ts'

/** A server that sends back what it gets, and a proxy before it. */
async function setup(): Promise<{
  proxy: TcpProxy
  dial: () => Promise<Socket>
  got: (socket: Socket) => () => string
}> {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket))
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const proxy = await TcpProxy.start({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  const sockets: Socket[] = []
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await proxy.close()
    expect(proxy.open).toBe(0)
    server.close()
    await once(server, 'close')
  })
  const dial = async (): Promise<Socket> => {
    const socket = connect(proxy.endpoint)
    sockets.push(socket)
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    return socket
  }
  const got = (socket: Socket): (() => string) => {
    let text = ''
    socket.on('data', (data) => (text += data.toString()))
    return () => text
  }
  return { proxy, dial, got }
}

it('passes everything on, both ways, in order, and an end in good order too', async () => {
  const { dial, got } = await setup()
  const socket = await dial()
  const text = got(socket)
  const sent = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join('')
  socket.end(sent)
  await once(socket, 'close')
  expect(text()).toBe(sent)
})

it('cuts what is open, and serves what comes after', async () => {
  const { proxy, dial, got } = await setup()
  const [first, second] = [await dial(), await dial()]
  first.write('a')
  await eventually(() => expect(proxy.open).toBe(2))
  proxy.cut()
  await Promise.all([first, second].map((socket) => eventually(() => expect(socket.closed).toBe(true))))
  const third = await dial()
  const text = got(third)
  third.write('b')
  await eventually(() => expect(text()).toBe('b'))
  expect(proxy.accepted).toBe(3)
})

it('refuses, until it accepts again on the same port', async () => {
  const { proxy, dial, got } = await setup()
  const before = await dial()
  await proxy.refuse()
  await eventually(() => expect(before.closed).toBe(true))
  const refused = connect(proxy.endpoint)
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException]
  expect(error.code).toBe('ECONNREFUSED')
  await proxy.accept()
  const after = await dial()
  const text = got(after)
  after.write('x')
  await eventually(() => expect(text()).toBe('x'))
})

it('delays each way, and keeps the order also when the delay changes', async () => {
  const { proxy, dial, got } = await setup()
  const socket = await dial()
  const text = got(socket)
  proxy.latency(150)
  const startedMs = performance.now()
  socket.write('slow ')
  await eventually(() => expect(proxy.open).toBe(1))
  setTimeout(() => {
    proxy.latency(0)
    socket.write('fast')
  }, 20)
  await eventually(() => expect(text()).toBe('slow fast'))
  expect(performance.now() - startedMs).toBeGreaterThan(140)
})

it('lets no more than the bandwidth through', async () => {
  const { proxy, dial, got } = await setup()
  proxy.bandwidth(100_000)
  const socket = await dial()
  const text = got(socket)
  const startedMs = performance.now()
  socket.write('x'.repeat(30_000))
  await eventually(() => expect(text()).toHaveLength(30_000))
  expect(performance.now() - startedMs).toBeGreaterThan(290)
})

it('leaves a connection dead without saying so, and serves the next', async () => {
  const { proxy, dial, got } = await setup()
  const dead = await dial()
  const nothing = got(dead)
  dead.write('before ')
  await eventually(() => expect(nothing()).toBe('before '))
  proxy.halfOpen()
  dead.write('after')
  const live = await dial()
  const text = got(live)
  live.write('here')
  await eventually(() => expect(text()).toBe('here'))
  expect([nothing(), dead.closed]).toEqual(['before ', false])
})

it('resets a connection once it has sent so many bytes', async () => {
  const { proxy, dial, got } = await setup()
  proxy.resetAfter(10)
  const socket = await dial()
  const text = got(socket)
  socket.write('12345')
  await eventually(() => expect(text()).toBe('12345'))
  socket.write('67890')
  await eventually(() => expect(socket.closed).toBe(true))
})

it('closes a connection that is cut in the moment in which it ends', async () => {
  const { proxy, dial } = await setup()
  const dialled: Socket[] = []
  const note = (message: unknown): void => void dialled.push((message as { readonly socket: Socket }).socket)
  subscribe('net.client.socket', note)
  onTestFinished(() => void unsubscribe('net.client.socket', note))
  const client = await dial()
  await eventually(() => expect(proxy.open).toBe(1))
  // The proxy's own connection to the server: it hears of the end, passes it on, and is cut in the same turn.
  dialled.at(-1)?.on('end', () => proxy.cut())
  client.end('x')
  await eventually(() => expect(proxy.open).toBe(0), 2_000)
  await proxy.close()
})
