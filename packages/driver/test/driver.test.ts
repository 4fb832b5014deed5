import { describe, expect, it } from 'vitest'
import { StreamError, errorCodes, didYouMean, nearest, parseBackendUrl } from '../src/index.ts'
import { ManualClock } from '../src/testing.ts'

describe('StreamError', () => {
  it('is recognised by its mark, also across two copies of the class', () => {
    const foreign = Object.assign(new Error('x'), { code: 'throttled', [Symbol.for('sluice/StreamError')]: true })
    expect(StreamError.is(foreign)).toBe(true)
    expect(StreamError.is(foreign, 'throttled')).toBe(true)
    expect(StreamError.is(foreign, 'timeout')).toBe(false)
    expect(StreamError.is(new Error('x'))).toBe(false)
    expect(StreamError.is(undefined)).toBe(false)
  })

  it('knows by its code whether a retry can help and whether the outcome is open', () => {
    const table = errorCodes.map((code) => [
      code,
      new StreamError(code, 'm').retryable,
      new StreamError(code, 'm').ambiguous,
    ])
    expect(table.filter(([, retryable]) => retryable).map(([code]) => code)).toEqual([
      'throttled',
      'unavailable',
      'timeout',
    ])
    expect(table.filter(([, , ambiguous]) => ambiguous).map(([code]) => code)).toEqual(['timeout'])
  })

  it('keeps the native error as its cause', () => {
    const native = new Error('ECONNRESET')
    expect(StreamError.from(native, 'reading').cause).toBe(native)
    const own = new StreamError('fenced', 'x')
    expect(StreamError.from(own, 'reading')).toBe(own)
  })
})

describe('parseBackendUrl', () => {
  it.each([
    ['local:./data', 'local', './data'],
    ['local:/var/lib/sluice?durability=normal', 'local', '/var/lib/sluice'],
    ['memory:', 'memory', ''],
    ['nats://user:pw@host:4222/x', 'nats', 'host:4222/x'],
    ['kinesis://eu-west-1', 'kinesis', 'eu-west-1'],
    ['LOCAL:a%20b', 'local', 'a b'],
  ])('takes %s apart', (address, scheme, path) => {
    expect(parseBackendUrl(address)).toMatchObject({ scheme, path })
  })

  it('never shows user, password or secret options', () => {
    const { safe } = parseBackendUrl(
      'nats://bob:hunter2@host?token=abc&name=x&secretKey=y&at=http://h:1&auth=http://h&to=http://h/p',
    )
    expect(safe).toBe('nats://***@host?token=***&name=x&secretKey=***&at=http://h:1&auth=***&to=***')
  })

  it.each([
    ['nats://u:p@abcSECRET@h', 'nats://***@h'],
    ['foo:user:abcSECRET@host', 'foo:***@host'],
    [
      'eventhubs:Endpoint=sb://x/;SharedAccessKey=abcSECRET;EntityPath=e',
      'eventhubs:Endpoint=sb://x/;SharedAccessKey=***;EntityPath=e',
    ],
    ['local:./d?sas=abcSECRET', 'local:./d?sas=***'],
    ['nats://h/#abcSECRET', 'nats://h/#***'],
    ['local:./data', 'local:./data'],
  ])('masks %s', (address, safe) => {
    expect(parseBackendUrl(address).safe).toBe(safe)
  })

  it('shows the options that are no secrets, which may be what is wrong', () => {
    const options =
      'leaseTable={topic}.{group}&mode=eof&encoding=cloudevents-json&capacity=onDemand&aggregateBytes=204800&roleSessionName=&ca=/etc/ca.pem'
    expect(parseBackendUrl(`kinesis://eu-west-1?${options}`).safe).toBe(`kinesis://eu-west-1?${options}`)
  })

  const secrets = 'sasl pass pwd psw apikey api_key sig secretAccesKey creds clientSecret JWT'
  const misspelt = 'tokn authTokne pasword scret client_sceret apikye crednetials signatrue usr'

  it.each(`${secrets} ${misspelt}`.split(' '))('masks the option %s whatever its value', (name) => {
    expect(parseBackendUrl(`x://h?${name}=plain`).safe).toBe(`x://h?${name}=***`)
  })

  it.each([
    'hunter2',
    'AKIAIOSFODNN7EXAMPLE',
    'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln',
    'aGVsbG8sIHRoZXJl',
    '4111111111111111',
    'two words',
    'team=blue',
    'https://hooks.host/services/id',
    'a-'.repeat(33),
  ])('masks %s under any name, as it may be a secret', (value) => {
    expect(parseBackendUrl(`x://h?mode=${encodeURIComponent(value)}`).safe).toBe('x://h?mode=***')
  })

  it.each(['nats://u:s3cr?3tPW@host:1', 'nats://u:s3cr#3tPW@host', 'k://u:12?x=3tPW@host', 'k://u:a/b#9?9@h?x=1'])(
    'refuses %s, whose password would be shown, and shows nothing of it',
    (address) => {
      expect(() => parseBackendUrl(address)).toThrow(/^the \w+: address has an "@" behind a "\?" or "#"; write [^:]*$/)
    },
  )

  it.each(['kinesis://AKIA:sE/cretPW@eu-west-1', 'nats://u:sEc/Re+PW@h:1?x=1', 'local:///tmp/a@PW/data'])(
    'refuses %s, of which something would be left out, and shows nothing of it',
    (address) => {
      expect(() => parseBackendUrl(address)).toThrow(/^the \w+: address has an "@" behind a "\/"; write [^:]*$/)
    },
  )

  it('takes such characters where they are escaped', () => {
    const { path, safe } = parseBackendUrl('nats://u:a%3Fb%23c%40d%2Fe@host?user=a%40b')
    expect([path, safe]).toEqual(['host', 'nats://***@host?user=***'])
  })

  it('refuses an option that is given twice', () => {
    expect(() => parseBackendUrl('nats://h?tls=true&token=hunter2&token=hunter3')).toThrow(
      /^the nats: address has the option "token" twice; keep one$/,
    )
  })

  it('refuses what has no scheme, without echoing a long secret', () => {
    expect(() => parseBackendUrl('./data')).toThrow(/is not a backend address/)
  })
})

describe('nearest', () => {
  it.each([
    ['partitons', ['partitions', 'retention'], 'partitions'],
    ['locl', ['local', 'nats'], 'local'],
    ['zebra', ['local', 'nats'], undefined],
    ['form', ['to', 'from', 'group'], 'from'],
    ['Retenttion', ['partitions', 'retention'], 'retention'],
    ['b', ['a'], undefined],
    ['in', ['on', 'out'], undefined],
    ['order', ['orders', 'older'], 'orders'],
  ])('finds the known name close to %s', (name, known, expected) => {
    expect(nearest(name, known)).toBe(expected)
  })

  it('is said, or what else to say is, or else what is known', () => {
    expect(didYouMean('locl', ['local', 'nats'])).toBe('did you mean "local"?')
    expect(didYouMean('zebra', ['local', 'nats'])).toBe('known are local, nats')
    expect(didYouMean('zebra', ['local', 'nats'], 'write either')).toBe('write either')
  })
})

describe('ManualClock', () => {
  it('fires timers in the order of their times, each at its own moment', async () => {
    const clock = new ManualClock()
    const seen: [string, number][] = []
    clock.after(20, () => seen.push(['b', clock.monotonic()]))
    clock.after(10, () => seen.push(['a', clock.monotonic()]))
    clock.after(30, () => seen.push(['never', 0])).cancel()
    await clock.advance(100)
    expect(seen).toEqual([
      ['a', 10],
      ['b', 20],
    ])
    expect(clock.pending).toBe(0)
  })
})
