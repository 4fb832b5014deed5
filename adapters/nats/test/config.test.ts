import { describe, expect, it } from 'vitest'
import { parseBackendUrl, StreamError } from '@sluice/driver'
import { optionDescriptions, parseConfig } from '../src/config.ts'
import type { NatsConfig } from '../src/config.ts'

function config(address: string): NatsConfig {
  return parseConfig(parseBackendUrl(address))
}

const read: readonly (readonly [string, Partial<NatsConfig>])[] = [
  ['nats://localhost', { servers: ['localhost:4222'], login: { kind: 'none' }, tls: undefined, apiPrefix: '$JS.API' }],
  ['nats://a:1,b:2,c/', { servers: ['a:1', 'b:2', 'c:4222'] }],
  ['nats://[::1]:4333', { servers: ['[::1]:4333'] }],
  ['nats://u:p@h', { login: { kind: 'password', user: 'u', password: 'p' } }],
  ['nats://u:p%40%3A%2F@h', { login: { kind: 'password', user: 'u', password: 'p@:/' } }],
  ['nats://u:p@ss@h', { login: { kind: 'password', user: 'u', password: 'p@ss' }, servers: ['h:4222'] }],
  ['nats://s3cr3t@h', { login: { kind: 'token', token: 's3cr3t' } }],
  ['nats://h?token=s3cr3t', { login: { kind: 'token', token: 's3cr3t' } }],
  ['nats://h?creds=/etc/user.creds', { login: { kind: 'creds', file: '/etc/user.creds' } }],
  ['nats://h?nkey=seed.nk', { login: { kind: 'nkey', file: 'seed.nk' } }],
  ['nats://h?tls=true', { tls: { ca: undefined, cert: undefined, key: undefined } }],
  ['nats://h?ca=ca.pem', { tls: { ca: 'ca.pem', cert: undefined, key: undefined } }],
  ['nats://h?cert=c.pem&key=k.pem', { tls: { ca: undefined, cert: 'c.pem', key: 'k.pem' } }],
  ['nats://h?domain=hub', { apiPrefix: '$JS.hub.API' }],
  ['nats://h?apiPrefix=from.other', { apiPrefix: 'from.other' }],
  ['nats://h?inboxPrefix=_ME.in', { inboxPrefix: '_ME.in' }],
  ['nats://h?replicas=3&storage=memory&partitions=8', { replicas: 3, storage: 'memory', partitions: 8 }],
  ['nats://h?dedupMs=500&failoverMs=700&leaseMs=900', { dedupMs: 500, failoverMs: 700, leaseMs: 900 }],
  ['nats://h?connectTimeoutMs=10&requestTimeoutMs=20', { connectTimeoutMs: 10, requestTimeoutMs: 20 }],
]

const refused: readonly (readonly [string, RegExp])[] = [
  ['nats://h?replica=3', /did you mean "replicas"/],
  ['nats://h?domian=x', /did you mean "domain"/],
  ['nats://h?completelyElse=1', /known are token/],
  ['nats:', /names no server/],
  ['nats://h:port', /names no server/],
  ['nats://h/orders', /has a path/],
  ['nats://u:p@h?token=t', /logs in by password and token/],
  ['nats://h?creds=a&nkey=b', /logs in by creds and nkey/],
  ['nats://u:%zz@h', /broken %-escape/],
  ['nats://h?cert=c.pem', /only one of cert and key/],
  ['nats://h?tls=false&ca=ca.pem', /tls=false and certificates/],
  ['nats://h?domain=hub&apiPrefix=x', /a domain and an apiPrefix/],
  ['nats://h?apiPrefix=a.*', /bad apiPrefix/],
  ['nats://h?bucket=a.b', /bad bucket/],
  ['nats://h?replicas=9', /whole number from 1 to 5/],
  ['nats://h?storage=flie', /did you mean "file"/],
]

describe('an address', () => {
  it.each(read)('%s', (address, expected) => {
    expect(config(address)).toMatchObject(expected)
  })

  it.each(refused)('%s is refused', (address, message) => {
    expect(() => config(address)).toThrow(message)
    expect(() => config(address)).toThrow(StreamError)
  })

  it('shows no secret, neither when it is read nor when it is refused', () => {
    const secrets = ['nats://u:geheim@h', 'nats://geheim@h', 'nats://h?token=geheim', 'nats://u:geheim@h?nkey=geheim']
    const shown = secrets.map((address) => {
      const known = config(address.replace('u:geheim@h?', 'h?'))
      return known.safe
    })
    expect(shown.join(' ')).not.toContain('geheim')
    expect(() => config('nats://u:geheim@h?token=geheim')).toThrow(/^(?!.*geheim)/s)
    expect(() => config('nats://u:geheim%zz@h')).toThrow(/^(?!.*geheim)/s)
  })

  it('has a description of every option, and the defaults that it says', () => {
    const { replicas, storage, partitions, dedupMs, failoverMs, leaseMs, bucket } = config('nats://h')
    const said = Object.fromEntries(optionDescriptions.map((option) => [option.name, option.default]))
    expect(said).toMatchObject({
      replicas: String(replicas),
      storage,
      partitions: String(partitions),
      dedupMs: String(dedupMs),
      failoverMs: String(failoverMs),
      leaseMs: String(leaseMs),
      bucket,
    })
  })
})
