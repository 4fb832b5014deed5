import { findLocalStack, findNats, natsVersions } from '../packages/emulators/src/index.ts'

/** `npm run brokers`: fetches every broker that the tests can run on, and says where it is. Fails when one is not to be had. */
const options = { env: process.env, provide: true }
const brokers = [
  { name: `nats-server ${natsVersions.newest}`, find: () => findNats({ ...options, version: natsVersions.newest }) },
  { name: `nats-server ${natsVersions.oldest}`, find: () => findNats({ ...options, version: natsVersions.oldest }) },
  { name: 'LocalStack', find: () => findLocalStack(options) },
]
let failed = 0
for (const { name, find } of brokers) {
  const found = await find()
  if ('tried' in found) {
    failed++
    console.log(`FAILED  ${name}: ${found.tried.join('; ')}`)
  } else console.log(`ok      ${name} (${found.version}, ${found.how}): ${found.path}`)
}
console.log(`${brokers.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
