import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ListStreamsCommand } from '@aws-sdk/client-kinesis'
import { expect, it, onTestFinished, vi } from 'vitest'
import { openClients } from '../src/clients.ts'
import { parseConfig } from '../src/config.ts'
import { toStreamError } from '../src/errors.ts'

it('a profile gives its region as well as its keys', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-aws-'))
  const file = join(folder, 'config')
  await writeFile(
    file,
    '[default]\nregion = us-east-1\n[profile dev]\nregion = ap-south-1\naws_access_key_id = A\naws_secret_access_key = b\n',
  )
  vi.stubEnv('AWS_CONFIG_FILE', file)
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'none'))
  for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_PROFILE']) vi.stubEnv(name, undefined)
  const href = 'kinesis:?profile=dev'
  const clients = openClients(
    parseConfig({ scheme: 'kinesis', path: '', href, safe: href, options: { profile: 'dev' } }),
  )
  onTestFinished(async () => {
    clients.close()
    vi.unstubAllEnvs()
    await rm(folder, { recursive: true })
  })
  for (const { config } of [clients.kinesis, clients.dynamo, clients.subscriber().client])
    expect(await config.region()).toBe('ap-south-1')
})

it('gives an endpoint up over HTTP/2 that lets itself be dialled and then says nothing', async () => {
  const server = createServer((socket) => void socket.resume().on('error', () => undefined)).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const endpoint = `https://127.0.0.1:${port}`
  const options = { endpoint, http1: 'false', connectTimeoutMs: '200', requestTimeoutMs: '60000' }
  const href = 'kinesis://A:b@eu-west-1'
  const { host: path } = new URL(href)
  const clients = openClients(parseConfig({ scheme: 'kinesis', path, href, safe: href, options }))
  onTestFinished(() => {
    clients.close()
    server.close()
  })
  for (const client of [clients.kinesis, clients.subscriber().client]) {
    const error: unknown = await client.send(new ListStreamsCommand()).catch((cause: unknown) => cause)
    expect(toStreamError(error, { operation: 'list' })).toMatchObject({ code: 'unavailable', ambiguous: false })
  }
})
