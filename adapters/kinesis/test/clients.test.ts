import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { openClients } from '../src/clients.ts'
import { parseConfig } from '../src/config.ts'

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
