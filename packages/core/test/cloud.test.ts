import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type } from 'arktype'
import { ContainerModule } from 'inversify'
import { StreamError, specVersion } from '@sluice/driver'
import type { Adapter, Driver, Logger } from '@sluice/driver'
import { eventually } from '@sluice/driver/testing'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { bytes, connect, defineFunction, text, tokens } from '../src/index.ts'
import type { Codec, Message } from '../src/index.ts'
import { allCapabilities, plainLimits } from './fake-topic.ts'

const errorOf = async (work: () => unknown): Promise<StreamError> => {
  try {
    await work()
  } catch (error) {
    if (StreamError.is(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}

const adapterModule = (adapter: Adapter): ContainerModule =>
  new ContainerModule(({ bind }) => void bind(tokens.Adapter).toConstantValue(adapter))

describe('connect', () => {
  it.each(['kafka', 'pulsar', 'x'])('says which adapters there are when there is none for %s:', async (scheme) => {
    expect(await errorOf(() => connect(`${scheme}://localhost`))).toMatchObject({
      code: 'invalid-argument',
      message: `there is no adapter for "${scheme}:" addresses; known are local:, memory:, nats:, kinesis:, and a third party's adapter can be passed in connect(..., { adapters })`,
    })
  })

  it('names the nearest scheme for one it does not know', async () => {
    expect(await errorOf(() => connect('locl:./x'))).toMatchObject({
      code: 'invalid-argument',
      message: expect.stringContaining('did you mean "local:"') as string,
    })
  })

  it('refuses what is no address', async () => {
    expect(await errorOf(() => connect('./data'))).toMatchObject({ code: 'invalid-argument' })
  })

  it.each([[undefined], [null], [''], [{}], [{ backend: '' }], [42]])(
    'says what to write instead of %j',
    async (nothing) => {
      expect(await errorOf(() => connect(nothing as unknown as string))).toMatchObject({
        code: 'invalid-argument',
        message: expect.stringContaining("write connect('local:./data')") as string,
      })
    },
  )

  it('rejects with aborted when its signal has aborted, before and after the adapter was loaded', async () => {
    const reason = new Error('never mind')
    const before = await errorOf(() => connect('memory:', { signal: AbortSignal.abort(reason) }))
    expect(before).toMatchObject({
      code: 'aborted',
      cause: reason,
      message: expect.stringMatching(/connecting to memory:/) as string,
    })
    const abort = new AbortController()
    const loading = errorOf(() => connect('memory:', { signal: abort.signal }))
    abort.abort(reason)
    expect(await loading).toMatchObject({ code: 'aborted', cause: reason })
  })

  it('ends at its deadline, without showing secrets, when a backend does not answer', async () => {
    const silent: Adapter = { specVersion, scheme: 'silent', open: () => new Promise(() => undefined) }
    const error = await errorOf(() =>
      connect('silent://bob:hunter2@host?token=t0ken', { adapters: [adapterModule(silent)], connectTimeoutMs: 20 }),
    )
    expect(error).toMatchObject({ code: 'timeout' })
    expect(error.message).not.toMatch(/hunter2|t0ken/)
  })

  it('says which Node is needed when an adapter needs a later one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-core-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const name = join(folder, 'node_modules/@sluice/future')
    mkdirSync(name, { recursive: true })
    writeFileSync(join(name, 'package.json'), '{"name":"@sluice/future","type":"module","exports":"./index.js"}')
    writeFileSync(join(name, 'index.js'), "import 'node:not-yet'")
    const program = `
      const { connect } = await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url))})
      await connect('future:').catch(({ code, message }) => console.log(code, message))`
    const args = ['--conditions=@sluice/source', '--input-type=module', '-e', program]
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder })
    expect(stdout).toMatch(/^unsupported @sluice\/future needs what Node \d.*node:not-yet.*; use Node 22\.13 or later/)
  })

  it('refuses an adapter of another version of the contract', async () => {
    const old = {
      specVersion: 0,
      scheme: 'old',
      open: () => Promise.reject(new Error('never called')),
    } as unknown as Adapter
    expect(await errorOf(() => connect('old:', { adapters: [adapterModule(old)] }))).toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('update the adapter') as string,
    })
  })

  it('uses what the user has bound: logger, codec, driver', async () => {
    const lines: string[] = []
    const logger: Logger = {
      debug: () => undefined,
      info: () => undefined,
      warn: (_, line) => void lines.push(line),
      error: () => undefined,
    }
    const shout: Codec<unknown> = {
      contentType: 'text/x-shout',
      encode: (value) => Buffer.from(String(value).toUpperCase()),
      decode: (body) => Buffer.from(body).toString(),
    }
    const own = new ContainerModule(({ bind }) => {
      bind(tokens.Logger).toConstantValue(logger)
      bind(tokens.Codec).toConstantValue(shout)
    })
    await using cloud = await connect('memory:', { modules: [own] })
    const topic = cloud.topic('t')
    await topic.send({ value: 'hello' })
    const consumer = topic.consumer({ group: 'g', retry: { maxAttempts: 1 } })
    const seen: unknown[] = []
    await consumer.run((message) => {
      seen.push(message.value, message.headers['content-type'])
      void consumer.close()
      throw new Error('to the dead letters')
    })
    expect(seen).toEqual(['HELLO', 'text/x-shout'])
    expect(lines).toContain('a message was dead-lettered')
    const echo = defineFunction({ name: 'echo', handle: (message) => ({ value: message.value }) })
    await using worker = cloud.worker(echo, { from: 't', to: 'out' })
    const running = worker.run()
    for await (const { value } of cloud.topic('out').consumer({ group: 'g' })) {
      expect(value).toBe('HELLO')
      break
    }
    await worker.close()
    await running
  })

  it('uses a driver that the user has bound', async () => {
    let closed = 0
    const driver: Driver = {
      specVersion,
      name: 'mine',
      server: 'mine 1',
      capabilities: allCapabilities,
      limits: plainLimits,
      admin: {} as Driver['admin'],
      openTopic: () => Promise.reject(new StreamError('not-found', 'nothing here')),
      toStreamError: (error) => StreamError.from(error, 'x'),
      native: () => 'mine',
      close: () => Promise.resolve(void closed++),
    }
    const cloud = await connect('mine:', {
      modules: [new ContainerModule(({ bind }) => void bind(tokens.Driver).toConstantValue(driver))],
      create: false,
    })
    expect(cloud.native()).toBe('mine')
    expect(await errorOf(() => cloud.topic('t').send({ value: 1 }))).toMatchObject({ code: 'not-found' })
    await cloud.close()
    await cloud.close()
    expect(closed).toBe(1)
  })
})

describe('typed topics', () => {
  it('take their type from any Standard Schema, and hold values to it', async () => {
    await using cloud = await connect('memory:')
    const zod = cloud.topic('zod', { schema: z.object({ cents: z.number().int() }) })
    const valibot = cloud.topic('valibot', { schema: v.object({ cents: v.number() }) })
    const arktype = cloud.topic('arktype', { schema: type({ cents: 'number' }) })
    expectTypeOf<Parameters<typeof zod.send>[0]['value']>().toEqualTypeOf<{ cents: number }>()
    expectTypeOf<Parameters<typeof valibot.send>[0]['value']>().toEqualTypeOf<{ cents: number }>()
    expectTypeOf<Parameters<typeof arktype.send>[0]['value']>().toEqualTypeOf<{ cents: number }>()
    for (const topic of [zod, valibot, arktype]) {
      await topic.send({ value: { cents: 5 } })
      const error = await errorOf(() => topic.send({ value: { cents: 'five' } as unknown as { cents: number } }))
      expect(error).toMatchObject({ code: 'invalid-argument', message: expect.stringContaining('cents') as string })
      for await (const message of topic.consumer({ group: 'g' })) {
        expectTypeOf(message.value).toEqualTypeOf<{ cents: number }>()
        expect(message.value).toEqual({ cents: 5 })
        message.ack()
        break
      }
    }
  })

  it('take their type from a codec', async () => {
    await using cloud = await connect('memory:')
    const words = cloud.topic('words', { codec: text })
    const raw = cloud.topic('raw', { codec: bytes })
    expectTypeOf<Parameters<typeof words.send>[0]['value']>().toEqualTypeOf<string>()
    expectTypeOf<Parameters<typeof raw.send>[0]['value']>().toEqualTypeOf<Uint8Array>()
    await words.send({ value: 'ñandú' })
    await raw.send({ value: new Uint8Array([0, 255]) })
    for await (const message of words.read()) expect(message.value).toBe('ñandú')
    for await (const message of raw.read()) expect([...message.value]).toEqual([0, 255])
  })
})

describe('batch handlers', () => {
  it('get messages together, settle them one by one, and keep the order of a key when one is retried', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t', { partitions: 1 })
    await topic.sendAll([1, 2, 3, 4].map((value) => ({ key: 'k', value })))
    await topic.sendAll([5, 6].map((value) => ({ value })))
    const consumer = topic.consumer({ group: 'g', retry: { baseMs: 1 } })
    const batches: unknown[][] = []
    const outcomes: string[] = []
    let retried = false
    const run = consumer.run(
      (messages: readonly Message<unknown>[]) => {
        batches.push(messages.map((message) => message.value))
        for (const message of messages) {
          if (message.value === 2 && !retried) {
            retried = true
            message.retry({ delayMs: 1 })
          }
          outcomes.push(`${String(message.value)}/${message.attempt}`)
        }
      },
      { batch: { max: 10, waitMs: 50 }, concurrency: 1 },
    )
    await eventually(() => expect(consumer.stats().acked).toBe(6))
    await consumer.close()
    await run
    expect(batches[0]).toEqual([1, 2, 3, 4, 5, 6])
    expect(batches.slice(1).flat()).toEqual([2, 3, 4])
    expect(outcomes.slice(6)).toEqual(['2/2', '3/2', '4/2'])
  })

  it('have all they left unsettled retried when they throw, and dead-lettered in the end', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('t')
    await topic.sendAll([1, 2, 3].map((value) => ({ key: `k${value}`, value })))
    const consumer = topic.consumer({ group: 'g', retry: { maxAttempts: 2, baseMs: 1 } })
    const run = consumer.run(
      (messages: readonly Message<unknown>[]) => {
        for (const message of messages) if (message.value === 1) message.ack()
        throw new Error('no')
      },
      { batch: { max: 3, waitMs: 20 } },
    )
    await eventually(() => expect(consumer.stats()).toMatchObject({ acked: 1, deadLettered: 2 }))
    await consumer.close()
    await run
    const letters = await Array.fromAsync(cloud.admin.deadLetters('t.dead-letters'))
    expect(letters.map((letter) => [letter.attempts, letter.reason])).toEqual([
      [2, 'gave up after 2 attempts: no'],
      [2, 'gave up after 2 attempts: no'],
    ])
  })
})

describe('dead letters', () => {
  it('keep bytes, headers, origin and error, and go back to the group that gave up, once', async () => {
    await using cloud = await connect('memory:')
    const topic = cloud.topic('orders')
    await topic.send({ key: 'k', value: { n: 1 }, headers: { colour: 'red' } })
    const handled: string[] = []
    const work = (group: string, fail: boolean): ReturnType<typeof topic.consumer> => {
      const consumer = topic.consumer({ group, retry: { maxAttempts: 1 } })
      void consumer.run((message) => {
        if (fail) throw new StreamError('unavailable', 'the bank is closed')
        handled.push(`${group}:${JSON.stringify(message.value)}:${message.headers['colour'] ?? ''}`)
      })
      return consumer
    }
    const failing = work('billing', true)
    const audit = work('audit', false)
    await eventually(() => expect(failing.stats().deadLettered).toBe(1))
    await failing.close()
    const letters = await Array.fromAsync(cloud.admin.deadLetters('orders.dead-letters'))
    expect(letters).toMatchObject([
      {
        key: 'k',
        headers: { colour: 'red' },
        attempts: 1,
        errorCode: 'unavailable',
        origin: { topic: 'orders', group: 'billing', position: '0' },
      },
    ])
    expect(Buffer.from(letters[0]?.body ?? []).toString()).toBe('{"n":1}')
    expect(await cloud.admin.sendBack('orders.dead-letters')).toBe(1)
    expect(await cloud.admin.sendBack('orders.dead-letters')).toBe(0)
    const billing = work('billing', false)
    await eventually(() => expect(billing.stats().acked).toBe(1))
    await eventually(() => expect(audit.stats().skipped).toBe(1))
    expect(handled).toEqual(['audit:{"n":1}:red', 'billing:{"n":1}:red'])
  })
})
