import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import type { Server } from 'node:net'
import { dirname, join } from 'node:path'
import { KinesisClient } from '@aws-sdk/client-kinesis'
import { eventually } from '@sluice/driver/testing'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { freePort, KinesisServer, LocalStackServer } from '../../../src/index.ts'
import { loopbackOnly } from '../../../src/localstack/loopback.ts'
import { localStackFor } from '../../found.ts'
import { asker, untilActive } from '../fixtures.ts'
import type { Question, ServerName } from './rows.ts'

/** A server that is asked, and how to end it. */
export interface Asked extends Question {
  close(): Promise<void>
}

type Running = { readonly url: string; stop(): Promise<void> }

const require = createRequire(import.meta.url)

/** Starts it; a text says why it cannot be. */
export async function startServer(name: ServerName, env: NodeJS.ProcessEnv): Promise<Asked | string> {
  const running = await launch[name](env)
  if (typeof running === 'string') return running
  // The servers of others speak HTTP/2 badly or not at all.
  const client = new KinesisClient({
    endpoint: running.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    requestHandler: new NodeHttpHandler({ requestTimeout: 20_000 }),
    maxAttempts: 1,
  })
  const ask = asker(client)
  const made: string[] = []
  const fresh = (): string => {
    const name = `truth-${made.length}-${process.pid.toString(36)}${Date.now().toString(36)}`
    made.push(name)
    return name
  }
  return {
    ask,
    fresh,
    stream: async (shards = 1) => {
      const StreamName = fresh()
      await ask('CreateStream', { StreamName, ShardCount: shards })
      await untilActive(ask, StreamName)
      return StreamName
    },
    close: async () => {
      // One that goes on has only room for so many shards.
      for (const StreamName of made)
        await ask('DeleteStream', { StreamName, EnforceConsumerDeletion: true }).catch(() => undefined)
      client.destroy()
      await running.stop()
    },
  }
}

const launch: Record<ServerName, (env: NodeJS.ProcessEnv) => Promise<Running | string>> = {
  sluice: async () => {
    const server = await KinesisServer.start({ stateMs: 20, quotas: false })
    return { url: server.url, stop: () => server.close() }
  },

  kinesalite: async () => {
    const kinesalite = require('kinesalite') as (options: object) => Server
    const server = kinesalite({ createStreamMs: 20, deleteStreamMs: 20, updateStreamMs: 20, shardLimit: 500 })
    const port = await freePort()
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${port}`, stop: () => new Promise((resolve) => server.close(() => resolve())) }
  },

  'kinesis-local': async (env) => {
    const main = require.resolve('kinesis-local/main.js')
    const [plain, tls] = [await freePort(), await freePort()]
    const states = ['CREATE_STREAM', 'DELETE_STREAM', 'SPLIT_SHARD', 'MERGE_SHARDS', 'UPDATE_SHARD_COUNT']
    const consumers = ['REGISTER_STREAM_CONSUMER', 'DEREGISTER_STREAM_CONSUMER']
    const child = spawn(process.execPath, ['--import', loopbackOnly, main], {
      stdio: 'ignore',
      env: {
        PATH: env['PATH'],
        KINESIS_MOCK_CERT_PATH: join(dirname(main), 'server.json'),
        KINESIS_MOCK_PLAIN_PORT: String(plain),
        KINESIS_MOCK_TLS_PORT: String(tls),
        LOG_LEVEL: 'ERROR',
        SHARD_LIMIT: '500',
        ...Object.fromEntries([...states, ...consumers].map((name) => [`${name}_DURATION`, '20ms'])),
      },
    })
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    await eventually(() => reach(plain), 20_000)
    return {
      url: `http://127.0.0.1:${plain}`,
      stop: async () => {
        child.kill('SIGKILL')
        await gone
      },
    }
  },

  localstack: async (env) => {
    const found = await localStackFor(env)
    if (typeof found === 'string') return found
    const server = await LocalStackServer.start(found, { env })
    return { url: server.url, stop: () => server.close() }
  },
}

function reach(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })
}
