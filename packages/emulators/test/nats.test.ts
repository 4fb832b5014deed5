import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findNats, NatsServer } from '../src/index.ts'
import { script, temporaryFolder } from './files.ts'

const says = (version: string): string => `echo "nats-server: v${version}"`

it('finds the server that is named, before the one on PATH, before one that was fetched', async () => {
  const folder = temporaryFolder()
  const cache = join(folder, 'cache')
  const named = script(folder, 'mine', says('2.10.1'))
  const onPath = script(join(folder, 'bin'), 'nats-server', says('2.11.0'))
  for (const version of ['2.9.25', '2.15.2', '2.9.3']) script(cache, `nats-server-${version}`, says(version))
  const PATH = `${join(folder, 'bin')}:/bin:/usr/bin`
  const env = { SLUICE_NATS_SERVER: named, PATH }
  expect(await findNats({ env, cache })).toEqual({ path: named, how: 'given', version: '2.10.1' })
  expect(await findNats({ env: { PATH }, cache })).toEqual({ path: onPath, how: 'path', version: '2.11.0' })
  const fetched = await findNats({ env: { PATH: '/bin' }, cache })
  expect(fetched).toEqual({ path: join(cache, 'nats-server-2.15.2'), how: 'cache', version: '2.15.2' })
  const old = await findNats({ env, cache, version: '2.9' })
  expect(old).toEqual({ path: join(cache, 'nats-server-2.9.25'), how: 'cache', version: '2.9.25' })
})

it('says what it looked at when there is none', async () => {
  const folder = temporaryFolder()
  const broken = script(folder, 'broken', 'echo "not today"; exit 3')
  const env = { SLUICE_NATS_SERVER: broken, PATH: folder }
  expect(await findNats({ env, cache: join(folder, 'cache'), provide: true, version: '9.9.9' })).toEqual({
    tried: [
      `${broken} is no nats-server: not today`,
      'no nats-server on PATH',
      `nothing that fits was fetched into ${folder}/cache before`,
      'no go on PATH to build it with',
      "no apt-get and dpkg for Debian's package",
      'no docker on PATH',
    ],
  })
})

it('keeps what it had built, and tells why it could not', async () => {
  const folder = temporaryFolder()
  const cache = join(folder, 'cache')
  const bin = join(folder, 'bin')
  script(
    bin,
    'go',
    `printf '#!/bin/sh\\n${says('2.9.25').replaceAll('"', '\\"')}\\n' > "$GOBIN/nats-server"; /bin/chmod 755 "$GOBIN/nats-server"`,
  )
  const options = { env: { PATH: bin }, cache, provide: true, version: '2.9' }
  const kept = { path: join(cache, 'nats-server-2.9.25'), version: '2.9.25' }
  expect(await findNats(options)).toEqual({ ...kept, how: 'go' })
  expect(await findNats({ ...options, provide: false })).toEqual({ ...kept, how: 'cache' })
  script(bin, 'go', 'echo "no such module"; exit 1')
  const missing = await findNats({ ...options, version: '2.1.0' })
  expect('tried' in missing ? missing.tried : []).toContainEqual(expect.stringContaining('failed: no such module'))
})

it('tells the last words of a server that does not come up', async () => {
  const path = script(temporaryFolder(), 'nats-server', 'echo "cannot bind"; exit 7')
  const starting = NatsServer.start({ path, how: 'given', version: '2.0.0' })
  await expect(starting).rejects.toThrow(/ended with 7; it said: cannot bind/)
})

it('gives up on a server that never answers, and leaves no process behind', async () => {
  const folder = temporaryFolder()
  const path = script(folder, 'nats-server', `echo $$ > ${folder}/pid; exec /bin/sleep 600`)
  const starting = NatsServer.start({ path, how: 'given', version: '2.0.0' }, { readyMs: 300 })
  await expect(starting).rejects.toThrow(/not ready in 300 ms/)
  const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'))
  expect(() => process.kill(pid, 0)).toThrow(/ESRCH/)
})

it('starts a real server, restarts it on its port with its data, and ends it', async (context) => {
  const found = await findNats({ env: process.env })
  if ('tried' in found) return context.skip(`no nats-server: ${found.tried.join('; ')}`)
  const server = await NatsServer.start(found)
  const { port } = server
  await server.restart()
  expect(server.port).toBe(port)
  await server.close()
  await server.close()
  // Its port is free again.
  const again = createServer()
  await new Promise<void>((resolve, reject) => again.once('error', reject).listen(port, '127.0.0.1', resolve))
  again.close()
})
