import { ManualClock } from '@sluice/driver/testing'
import { expect, it } from 'vitest'
import { asker, client, refusal, start } from './fixtures.ts'

const known = { accessKeyId: 'AKIDKNOWN', secretAccessKey: 'geheim' }

it('takes any signature unless it is told whom to know', async () => {
  const server = await start()
  expect((await asker(client(server))('ListStreams')).StreamNames).toEqual([])
  const unsigned = await fetch(server.url, {
    method: 'POST',
    headers: { 'x-amz-target': 'Kinesis_20131202.ListStreams' },
  })
  expect([unsigned.status, await unsigned.json()]).toEqual([
    400,
    { __type: 'MissingAuthenticationTokenException', message: 'Missing Authentication Token' },
  ])
})

it('takes the credentials that it knows, and checks what they signed', async () => {
  const server = await start({ credentials: [known] })
  const as = (credentials: object): Promise<unknown> =>
    asker(client(server, { credentials: credentials as typeof known }))('ListStreams')
  await as(known)
  expect((await refusal(as({ ...known, secretAccessKey: 'guessed' }))).name).toBe('InvalidSignatureException')
  expect((await refusal(as({ ...known, accessKeyId: 'AKIDOTHER' }))).name).toBe('UnrecognizedClientException')
  expect((await refusal(as({ ...known, sessionToken: 'none of ours' }))).name).toBe('UnrecognizedClientException')
})

it('takes temporary credentials until they expire', async () => {
  const clock = new ManualClock(Date.now())
  const temporary = { ...known, sessionToken: 'token', expiresAtMs: clock.now() + 1_000 }
  const server = await start({ clock, credentials: [temporary] })
  const ask = asker(client(server, { credentials: { ...known, sessionToken: 'token' } }))
  await ask('ListStreams')
  await clock.advance(1_000)
  expect((await refusal(ask('ListStreams'))).name).toBe('ExpiredTokenException')
})

it('denies calls', async () => {
  const server = await start({ credentials: [{ ...known, denied: ['CreateStream'] }] })
  const ask = asker(client(server, { credentials: known }))
  const { name, message } = await refusal(ask('CreateStream', { StreamName: 's', ShardCount: 1 }))
  expect([name, message]).toEqual(['AccessDeniedException', expect.stringContaining('kinesis:CreateStream')])
  await ask('ListStreams')
})

it('refuses what was signed for something else, or long ago', async () => {
  const server = await start({ credentials: [known], clock: new ManualClock(Date.now() + 16 * 60_000) })
  const late = asker(client(server, { credentials: known }))
  expect((await refusal(late('ListStreams'))).message).toContain('Signature expired')
  const today = await start({ credentials: [known] })
  const scopes = ['20200101/eu-west-1/kinesis/aws4_request', `${day()}/eu-west-1/s3/aws4_request`]
  for (const scope of scopes) {
    const response = await fetch(today.url, {
      method: 'POST',
      headers: {
        'x-amz-target': 'Kinesis_20131202.ListStreams',
        'x-amz-date': `${day()}T${new Date().toISOString().slice(11, 19).replaceAll(':', '')}Z`,
        authorization: `AWS4-HMAC-SHA256 Credential=AKIDKNOWN/${scope}, SignedHeaders=host;x-amz-date;x-amz-target, Signature=0`,
      },
    })
    expect([scope, ((await response.json()) as { __type: string }).__type]).toEqual([
      scope,
      'InvalidSignatureException',
    ])
  }
})

function day(): string {
  return new Date().toISOString().slice(0, 10).replaceAll('-', '')
}

it('says the time of its own clock with each answer', async () => {
  const clock = new ManualClock(Date.UTC(2031, 0, 1))
  const server = await start({ clock })
  const answer = await fetch(`${server.url}/_sluice/health`)
  expect(answer.headers.get('date')).toBe('Wed, 01 Jan 2031 00:00:00 GMT')
})
