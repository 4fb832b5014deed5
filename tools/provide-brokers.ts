import { findNats, natsVersions } from '../packages/emulators/src/index.ts'

/** `npm run brokers`: fetches every broker that the tests can run on, and says where it is. Fails when one is not to be had. */
const versions = [natsVersions.newest, natsVersions.oldest]
let failed = 0
for (const version of versions) {
  const found = await findNats({ env: process.env, provide: true, version })
  if ('tried' in found) {
    failed++
    console.log(`FAILED  nats-server ${version}: ${found.tried.join('; ')}`)
  } else console.log(`ok      nats-server ${found.version} (${found.how}): ${found.path}`)
}
console.log(`${versions.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
