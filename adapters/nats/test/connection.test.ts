import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nkeys } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@sluice/core'
import { TcpProxy } from '@sluice/conformance'
import { eventually } from '@sluice/driver/testing'
import { freePort } from '@sluice/emulators'
import type { NatsBinary } from '@sluice/emulators'
import { describe, expect, it, onTestFinished } from 'vitest'
import { adapter } from '../src/index.ts'
import { collect, failure, folder, fresh, open, server, topicOf } from './fixtures.ts'
import { Operator } from './operator.ts'
import { findBinary } from './server.ts'
import { needs } from './suite.ts'

const found = await findBinary()
const missing = 'tried' in found ? `no nats-server: ${found.tried.join('; ')}` : undefined
const binary = found as NatsBinary

function certificate(name: string): string {
  return fileURLToPath(new URL(`certificates/${name}.pem`, import.meta.url))
}

const tls = `tls { cert_file: "${certificate('server')}", key_file: "${certificate('server-key')}"`

describe('logging in', () => {
  needs(missing)
  it('with a password; another one is unauthenticated and shown nowhere', async () => {
    const { url } = await server(binary, { config: 'authorization { user: ann, password: right }' })
    const cloud = await open(url.replace('//', '//ann:right@'))
    expect(await cloud.admin.listTopics()).toEqual([])
    const error = await failure(open(url.replace('//', '//ann:geheim@')))
    expect(error.code).toBe('unauthenticated')
    expect(`${error.message} ${cloud.address}`).not.toMatch(/geheim|right/)
  })

  it('with a token', async () => {
    const { url } = await server(binary, { config: 'authorization { token: t0ken }' })
    expect(await (await open(`${url}/?token=t0ken`)).admin.listTopics()).toEqual([])
    expect((await failure(open(`${url}/?token=other`))).code).toBe('unauthenticated')
  })

  it('with the seed of an nkey; a file without one is refused', async () => {
    const user = nkeys.createUser()
    const { url } = await server(binary, { config: `authorization { users: [ { nkey: ${user.getPublicKey()} } ] }` })
    const file = join(await folder(), 'seed.nk')
    await writeFile(file, user.getSeed())
    expect(await (await open(`${url}/?nkey=${file}`)).admin.listTopics()).toEqual([])
    await writeFile(file, 'no seed')
    expect(await failure(open(`${url}/?nkey=${file}`))).toMatchObject({ code: 'invalid-argument' })
  })

  it('with the credentials of an account; expired ones are unauthenticated, at the start and later', async () => {
    const operator = new Operator()
    const { url } = await server(binary, { config: operator.config })
    const credsOf = async (creds: string): Promise<string> => {
      const file = join(await folder(), 'user.creds')
      await writeFile(file, creds)
      return `${url}/?creds=${file}`
    }
    const cloud = await open(await credsOf(operator.creds()))
    const topic = topicOf(cloud, fresh('creds'))
    await topic.send({ value: 1 })
    expect(await collect(topic, 'group', 1)).toEqual([1])

    const before = await failure(open(await credsOf(operator.creds({ expiresAt: Date.now() - 60_000 }))))
    expect(before).toMatchObject({ code: 'unauthenticated', retryable: false })
    expect(before.message).not.toMatch(/eyJ|SU[A-Z0-9]{20}/)
    const stranger = await failure(open(await credsOf(new Operator().creds())))
    expect(stranger).toMatchObject({ code: 'unauthenticated', retryable: false })

    const expired = { code: 'unauthenticated', message: expect.stringContaining('expired') as string }
    expect(before).toMatchObject(expired)
    const cloudForShort = await open(await credsOf(operator.creds({ expiresAt: Date.now() + 2_000 })))
    const short = topicOf(cloudForShort, topic.name)
    expect(await failure(short.consumer({ group: 'other' }).run(() => undefined))).toMatchObject(expired)
    expect(await failure(short.send({ value: 2 }))).toMatchObject(expired)
    expect(await failure(cloudForShort.admin.listTopics())).toMatchObject(expired)
  })

  it('with credentials that are renewed in their file before they expire', async () => {
    const operator = new Operator()
    const { url } = await server(binary, { config: operator.config })
    const file = join(await folder(), 'user.creds')
    await writeFile(file, operator.creds({ expiresAt: Date.now() + 2_000 }))
    const cloud = await open(`${url}/?creds=${file}`)
    const topic = topicOf(cloud, fresh('renewed'))
    await topic.send({ key: 'k', value: 1 })
    await writeFile(file, operator.creds())
    const client = cloud.native() as NatsConnection
    for await (const { type } of client.status()) if (type === 'reconnect') break
    await topic.send({ key: 'k', value: 2 })
    expect(await collect(topic, 'group', 2)).toEqual([1, 2])
  })

  it('again and again over a line too slow for it, until the line is better', async () => {
    const { url } = await server(binary, { config: 'authorization { user: ann, password: right, timeout: 0.3 }' })
    const { hostname, port } = new URL(url)
    const proxy = await TcpProxy.start({ host: hostname, port: Number(port) })
    onTestFinished(() => proxy.close())
    const cloud = await open(`nats://ann:right@127.0.0.1:${proxy.endpoint.port}`)
    const topic = topicOf(cloud, fresh('slow'))
    await topic.send({ key: 'k', value: 1 })
    const accepted = proxy.accepted
    proxy.latency(400)
    proxy.cut()
    await eventually(() => expect(proxy.accepted).toBeGreaterThan(accepted + 3))
    proxy.latency(0)
    await topic.send({ key: 'k', value: 2 })
    expect(await collect(topic, 'group', 2)).toEqual([1, 2])
  })

  it('with the credentials of a user who may not publish to a subject makes sends there permission-denied', async () => {
    const operator = new Operator()
    const { url } = await server(binary, { config: operator.config })
    const file = join(await folder(), 'user.creds')
    await writeFile(file, operator.creds())
    const topic = topicOf(await open(`${url}/?creds=${file}`), 'secrets')
    await topic.send({ value: 1 })
    await writeFile(file, operator.creds({ rights: { pub: { deny: ['secrets.>'] } } }))
    const error = await failure(topicOf(await open(`${url}/?creds=${file}`), 'secrets').send({ value: 2 }))
    expect(error).toMatchObject({ code: 'permission-denied', retryable: false })
    expect(error.message).toContain('secrets')
  })

  it('with a credentials file that is none, or is not there, is refused before anything is sent', async () => {
    const file = join(await folder(), 'user.creds')
    expect((await failure(open(`nats://127.0.0.1:1/?creds=${file}`))).message).toContain('?creds is not there')
    await writeFile(file, 'no credentials')
    expect((await failure(open(`nats://127.0.0.1:1/?creds=${file}`))).message).toContain('holds no credentials')
  })
})

describe('over TLS', () => {
  needs(missing)
  it('to the host that the certificate names; to another one it says what is wrong', async () => {
    const { url } = await server(binary, { config: `${tls} }` })
    const ca = `ca=${certificate('ca')}`
    const named = await open(`${url.replace('127.0.0.1', 'localhost')}/?${ca}`)
    expect(await named.admin.listTopics()).toEqual([])
    const error = await failure(open(`${url}/?${ca}`))
    expect([error.code, error.retryable]).toEqual(['unavailable', false])
    expect(error.message).toContain('certificate is not trusted or not made for that host')
    const untrusted = await failure(open(`${url.replace('127.0.0.1', 'localhost')}/?tls=true`))
    expect([untrusted.code, untrusted.retryable]).toEqual(['unavailable', false])
  })

  it('with a client certificate where the server wants one', async () => {
    const { url } = await server(binary, { config: `${tls}, ca_file: "${certificate('ca')}", verify: true }` })
    const local = url.replace('127.0.0.1', 'localhost')
    const options = `ca=${certificate('ca')}&cert=${certificate('client')}&key=${certificate('client-key')}`
    expect(await (await open(`${local}/?${options}`)).admin.listTopics()).toEqual([])
    const error = await failure(open(`${local}/?ca=${certificate('ca')}&connectTimeoutMs=500`))
    expect([error.code, error.message]).toEqual(['unavailable', expect.stringContaining('client certificate')])
  })
})

describe('a server', () => {
  needs(missing)
  it('that is not there is unavailable within the deadline', async () => {
    const started = performance.now()
    const error = await failure(open(`nats://127.0.0.1:${await freePort()}`))
    expect([error.code, error.retryable]).toEqual(['unavailable', true])
    expect(performance.now() - started).toBeLessThan(5_000)
  })

  it('among several that are not there is found', async () => {
    const { url } = await server(binary)
    const cloud = await open(`nats://127.0.0.1:${await freePort()},${url.slice('nats://'.length)}`)
    expect(await cloud.admin.listTopics()).toEqual([])
  })

  it('without JetStream is unsupported, and says what to do', async () => {
    const { url } = await server(binary, { jetStream: false })
    const error = await failure(open(url))
    expect([error.code, error.message]).toEqual(['unsupported', expect.stringContaining('start the server with -js')])
  })

  it('that forbids a subject makes sends permission-denied', async () => {
    const users =
      'authorization { users: [ { user: ann, password: pw, permissions: { publish: { deny: "closed.>" } } } ] }'
    const { url } = await server(binary, { config: users })
    const cloud = await open(url.replace('//', '//ann:pw@'))
    await cloud.topic('open').send({ value: 1 })
    const error = await failure(cloud.topic('closed').send({ value: 1 }))
    expect([error.code, error.retryable]).toEqual(['permission-denied', false])
  })

  it('with the permissions that the README names does everything', async () => {
    const allowed = ['t.>', '$JS.API.>', '$JS.ACK.>', '$KV.sluice.>', 'sluice.members.sluice.>', '_INBOX.>']
    const heard = ['_INBOX.>', 'sluice.members.sluice.>']
    const permissions = `{ publish: { allow: ${JSON.stringify(allowed)} }, subscribe: { allow: ${JSON.stringify(heard)} } }`
    const users = `authorization { users: [ { user: ann, password: pw, permissions: ${permissions} } ] }`
    const { url } = await server(binary, { config: users })
    const cloud = await open(`${url.replace('//', '//ann:pw@')}/?failoverMs=600`)
    for (const order of ['key', 'none'] as const) {
      const topic = topicOf(cloud, `t.${order}`)
      await cloud.admin.createTopic(topic.name, { order })
      await topic.send({ value: 1, key: 'k' })
      expect(await collect(topic, 'g', 1)).toEqual([1])
      await cloud.admin.seek(topic.name, 'g', 'earliest')
      expect(await collect(topic, 'g', 1)).toEqual([1])
      expect((await cloud.admin.lag(topic.name, 'g')).map((lag) => lag.messages)).toContain(0)
      await cloud.admin.deleteGroup(topic.name, 'g')
      await cloud.admin.deleteTopic(topic.name)
    }
  })

  it('with a JetStream domain is used through it', async () => {
    const where = await folder()
    const { url } = await server(binary, {
      jetStream: false,
      config: `jetstream { domain: hub, store_dir: "${where}" }`,
    })
    const cloud = await open(`${url}/?domain=hub&failoverMs=600`)
    for (const order of ['key', 'none'] as const) {
      const topic = topicOf(cloud, fresh('domain'))
      await cloud.admin.createTopic(topic.name, { order })
      await topic.send({ value: 1 })
      expect(await collect(topic, 'g', 1)).toEqual([1])
    }
    const elsewhere = await failure(open(`${url}/?domain=spoke`))
    expect([elsewhere.code, elsewhere.message]).toEqual(['unsupported', expect.stringContaining('are ?domain and')])
  })

  it('keeps topics under another bucket apart', async () => {
    const { url } = await server(binary)
    const [one, two] = [await open(`${url}/?bucket=one`), await open(`${url}/?bucket=two`)]
    const name = fresh('orders')
    await one.admin.createTopic(name)
    expect([await one.admin.listTopics(), await two.admin.listTopics()]).toEqual([[name], []])
  })
})

describe('servers that accept and say nothing', () => {
  const silentServer = async (): Promise<{ readonly address: string; readonly open: ReadonlySet<Socket> }> => {
    const open = new Set<Socket>()
    const silent = createServer((socket) => {
      open.add(socket)
      socket.on('close', () => open.delete(socket)).on('error', () => undefined)
    })
    const port = await freePort()
    await new Promise<void>((resolve) => silent.listen(port, '127.0.0.1', resolve))
    onTestFinished(() => void silent.close())
    return { address: `127.0.0.1:${port}`, open }
  }

  it('are given up with their sockets, which would keep the process', async () => {
    const { address, open } = await silentServer()
    const error = await failure(connect(`nats://${address}/?connectTimeoutMs=300`, { adapters: [adapter] }))
    expect([error.code, error.message]).toEqual(['unavailable', expect.stringContaining('is it a NATS server')])
    await eventually(() => expect(open.size).toBe(0))
  })

  it(
    'one after the other keep no process, also when whoever connects gives up first',
    { timeout: 60_000 },
    async () => {
      const [first, second] = [await silentServer(), await silentServer()]
      const url = `nats://${first.address},${second.address}/?connectTimeoutMs=20000`
      const program = `
      import { connect } from '@sluice/core'
      import { adapter } from '@sluice/nats'
      await connect(${JSON.stringify(url)}, { adapters: [adapter], connectTimeoutMs: 300 }).catch((error) => console.log(error.code))
    `
      const args = ['--conditions=@sluice/source', '--input-type=module', '--eval', program]
      const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] })
      onTestFinished(() => void child.kill('SIGKILL'))
      let said = ''
      child.stdout.on('data', (data: Buffer) => (said += data.toString()))
      const ended = await new Promise((resolve) => child.once('close', resolve))
      expect([ended, said.trim()]).toEqual([0, 'timeout'])
      expect(first.open.size + second.open.size).toBe(0)
    },
  )
})
