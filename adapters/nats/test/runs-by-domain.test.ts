import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { folder, fresh, open, server, topicOf } from './fixtures.ts'
import { isOld } from './harness.ts'
import { findBinary } from './server.ts'
import { needs } from './suite.ts'

const found = await findBinary()

/** Who copies streams that are reached by a domain or a prefix, cannot be seen from here. */
describe('records of a key, in a stream that is reached', () => {
  needs('tried' in found ? `no nats-server: ${found.tried.join('; ')}` : undefined)

  it.each([
    ['directly, are stored behind one another', '', 49],
    ['by a domain, are not', '?domain=hub', 0],
    ['by a prefix, are not', '?apiPrefix=$JS.hub.API', 0],
  ])('%s', async (_, query, behind) => {
    if ('tried' in found) throw new Error('not skipped')
    const where = await folder()
    const config = `jetstream { domain: hub, store_dir: "${where}" }`
    const { url, port } = await server(found, { jetStream: false, config })
    const cloud = await open(`${url}/${query}`)
    const topic = topicOf(cloud, fresh('runs'))
    const values = Array.from({ length: 50 }, (_value, at) => at)
    await topic.sendAll(values.map((value) => ({ value, key: 'k' })))

    const client = await connect({ servers: `127.0.0.1:${port}` })
    onTestFinished(() => client.close())
    const manager = await jetstreamManager(client)
    const messages = await Promise.all(values.map((at) => manager.streams.getMessage(topic.name, { seq: at + 1 })))
    expect(messages.map((message) => message?.json())).toEqual(values)
    const conditional = messages.filter((message) => message?.header.has('Nats-Expected-Last-Msg-Id') === true)
    // Versions up to 2.9 have no such condition.
    expect(conditional).toHaveLength(isOld(found) ? 0 : behind)
  })
})
