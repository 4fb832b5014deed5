import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { findLocalStack } from '@sluice/emulators'
import { expect, it } from 'vitest'
import { Workplace } from './sluice.ts'

it('keeps a Kinesis server up until Ctrl-C, with what it holds in a folder', async () => {
  using place = new Workplace()
  const running = place.start(['emulators', 'up', 'kinesis', '--folder', 'kept', '--json'])
  await running.printed('"url"')
  const { url } = JSON.parse(running.stdout) as { readonly url: string }
  expect((await fetch(`${url}/_sluice/health`)).status).toBe(200)
  running.interrupt()
  expect((await running.ended).code).toBe(130)
  await expect(fetch(url)).rejects.toThrow('fetch failed')
})

it('keeps a LocalStack up until Ctrl-C', async (context) => {
  const { PATH } = process.env
  const found = await findLocalStack({ env: { PATH } })
  if ('tried' in found) return context.skip(`no LocalStack: ${found.tried.join('; ')}`)
  using place = new Workplace()
  const running = place.start(['emulators', 'up', 'localstack', '--json'], {
    LOCALSTACK_ENDPOINT: 'http://127.0.0.1:9',
  })
  await running.printed('"url"')
  const { url } = JSON.parse(running.stdout) as { readonly url: string }
  expect((await fetch(`${url}/_localstack/health`)).status).toBe(200)
  running.interrupt()
  expect((await running.ended).code).toBe(130)
  await expect(fetch(url)).rejects.toThrow('fetch failed')
})

it('says what is in the way of it', async () => {
  using place = new Workplace()
  await using taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as AddressInfo
  for (const name of ['kinesis', 'dynamodb']) {
    const busy = await place.sluice(['emulators', 'up', name, '--port', String(port)])
    expect([busy.code, busy.stderr]).toEqual([1, expect.stringContaining('something else listens there')])
  }
  const nowhere = await place.sluice(['emulators', 'up', 'kinesis', '--folder', 'no/such/place'])
  expect([nowhere.code, nowhere.stderr]).toEqual([1, expect.stringContaining('cannot be used')])
  const unknown = await place.sluice(['emulators', 'up', 'rabbit'])
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    expect.stringContaining('Allowed choices are kinesis, dynamodb, localstack, nats'),
  ])
  const kept = await place.sluice(['emulators', 'up', 'localstack', '--folder', 'kept'])
  expect([kept.code, kept.stderr]).toEqual([2, expect.stringContaining('localstack takes no --folder')])
  const unheard = await place.sluice(['emulators', 'up', 'nats', '--no-quotas'])
  expect([unheard.code, unheard.stderr]).toEqual([2, expect.stringContaining('nats takes no --no-quotas')])
  const slow = await place.sluice(['emulators', 'up', 'dynamodb', '--state-ms', '5'])
  expect([slow.code, slow.stderr]).toEqual([2, expect.stringContaining('dynamodb takes no --state-ms')])
})
