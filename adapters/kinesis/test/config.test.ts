import { describe, expect, it } from 'vitest'
import { parseBackendUrl, StreamError } from '@sluice/driver'
import { optionDescriptions, parseConfig } from '../src/config.ts'
import type { KinesisConfig } from '../src/config.ts'

function config(address: string): KinesisConfig {
  return parseConfig(parseBackendUrl(address))
}

const local = 'http://127.0.0.1:4566'
const read: readonly (readonly [string, Partial<KinesisConfig>])[] = [
  ['kinesis://eu-west-1', { region: 'eu-west-1', endpoint: undefined, http1: false, credentials: undefined }],
  ['kinesis://us-gov-west-1/', { region: 'us-gov-west-1' }],
  ['kinesis:', { region: undefined }],
  [`kinesis://eu-west-1?endpoint=${local}/`, { endpoint: local, dynamoEndpoint: local, http1: true }],
  [`kinesis://eu-west-1?endpoint=${local}&http1=false`, { http1: false }],
  [`kinesis://eu-west-1?endpoint=${local}&dynamoEndpoint=http://h:1`, { dynamoEndpoint: 'http://h:1' }],
  ['kinesis://eu-west-1?http1=true', { http1: true }],
  ['kinesis://A:b%2Fc@eu-west-1', { credentials: { accessKeyId: 'A', secretAccessKey: 'b/c' } }],
  ['kinesis://eu-west-1?profile=dev', { profile: 'dev' }],
  [
    'kinesis://eu-west-1?roleArn=arn:aws:iam::123456789012:role/a/b&externalId=x',
    { role: { arn: 'arn:aws:iam::123456789012:role/a/b', sessionName: 'sluice', externalId: 'x' } },
  ],
  ['kinesis://eu-west-1?encoding=raw', { encoding: 'raw', aggregation: false }],
  ['kinesis://eu-west-1?aggregation=false', { encoding: 'kpl', aggregation: false }],
  ['kinesis://eu-west-1?mode=efo&pollMs=50&paceMs=0', { mode: 'efo', pollMs: 50, paceMs: 0 }],
  ['kinesis://eu-west-1?capacity=on-demand&kmsKey=alias/a', { capacity: 'on-demand', kmsKey: 'alias/a' }],
  ['kinesis://eu-west-1?leaseTable={group}', { leaseTable: '{group}' }],
  ['kinesis://eu-west-1?leaseBilling=5:10', { leaseUnits: { read: 5, write: 10 } }],
  ['kinesis://eu-west-1?leaseTags=team=data,env=', { leaseTags: { team: 'data', env: '' } }],
]

const refused: readonly (readonly [string, RegExp])[] = [
  ['kinesis://eu-west-1?endpont=x', /did you mean "endpoint"/],
  ['kinesis://127.0.0.1:4566', /names no region; write kinesis:\/\/eu-west-1/],
  ['kinesis://orders', /names no region/],
  ['kinesis://eu-west-1?endpoint=localhost:4566', /bad endpoint; write http/],
  ['kinesis://eu-west-1?endpoint=http://127.0.0.1:99999', /bad endpoint; write http/],
  ['kinesis://eu-west-1?endpoint=http://[', /bad endpoint; write http/],
  [String.raw`kinesis://eu-west-1?endpoint=http://h\x`, /bad endpoint; write http/],
  ['kinesis://eu-west-1?dynamoEndpoint=http://:80', /bad dynamoEndpoint; write http/],
  ['kinesis://eu-west-1?dynamoEndpoint=http://a:b:c', /bad dynamoEndpoint; write http/],
  ['kinesis://A@eu-west-1', /half a login/],
  ['kinesis://A:%zz@eu-west-1', /broken %-escape/],
  ['kinesis://A:b@eu-west-1?profile=dev', /keys and a profile/],
  ['kinesis://eu-west-1?roleArn=reader', /bad roleArn/],
  ['kinesis://eu-west-1?externalId=x', /add roleArn/],
  ['kinesis://eu-west-1?encoding=cloudevents', /did you mean "cloudevents-json"/],
  ['kinesis://eu-west-1?mode=fanout', /write polling or efo/],
  ['kinesis://eu-west-1?leaseTable={grup}', /bad leaseTable/],
  ['kinesis://eu-west-1?leaseBilling=5', /bad leaseBilling/],
  ['kinesis://eu-west-1?leaseTags=team', /bad leaseTags/],
  ['kinesis://eu-west-1?leaseTags=a=1,b=2,a=3', /tag "a" twice in leaseTags; keep one/],
  ['kinesis://eu-west-1?leaseTags=a=1,created-by=x', /tag "created-by" in leaseTags.*choose another name/],
  ['kinesis://eu-west-1?aggregateBytes=1', /whole number from 1024/],
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
    expect(config('kinesis://A:geheim@eu-west-1').safe).not.toContain('geheim')
    expect(() => config('kinesis://A:geheim%zz@eu-west-1')).toThrow(/^(?!.*geheim)/s)
    expect(() => config('kinesis://A:geheim@eu-west-1?pollMs=x')).toThrow(/^(?!.*geheim)/s)
    expect(() => config('kinesis://A:b@eu-west-1?endpoint=http://A:geheim:80')).toThrow(/^(?!.*geheim).*bad endpoint/s)
    expect(() => config('kinesis://eu-west-1?endpoint=http://A:geheim%40host')).toThrow(/^(?!.*geheim).*bad endpoint/s)
  })

  it('has a description of every option, and the defaults that it says', () => {
    const known: Readonly<Record<string, unknown>> = {
      ...config('kinesis://eu-west-1'),
      roleSessionName: 'sluice',
      leaseBilling: 'on-demand',
    }
    const said = optionDescriptions.filter((option) => option.default !== '')
    expect(said.map(({ name }) => [name, String(known[name])])).toEqual(
      said.map((option) => [option.name, option.default]),
    )
  })
})
