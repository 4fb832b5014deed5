import { connect } from '@sluice/core'
import { errorCodes, StreamError } from '@sluice/driver'
import type { ErrorCode } from '@sluice/driver'
import type { Case } from '../case.ts'
import type { CaseContext } from '../context.ts'
import { each, equal, isError, rejects, that } from '../expect.ts'
import { addressOf, openHarness } from '../open.ts'
import { read } from '../reading.ts'
import { bench, member, messages, range, sendAll, texts } from '../setup.ts'

/** One error class, closed codes, the native cause kept; and trouble that passes does no harm. */
export const errorCases: readonly Case[] = [
  {
    name: 'errors/code-table',
    title: 'each native error has its code, tells whether a retry can help, and is kept as the cause',
    run: codeTable,
  },
  {
    name: 'errors/codes-reach-the-caller',
    title: 'what the driver says of a failed send is what the caller gets: code, cause and ambiguity',
    run: codesReachTheCaller,
  },
  {
    name: 'errors/transient-never-kills-a-consumer',
    title: 'each retryable error once, on each call a consumer makes: it lives, and each record is handled once',
    run: transient,
  },
  {
    name: 'errors/unauthenticated',
    title: 'credentials that are not accepted are unauthenticated, at once',
    needs: (world) => (world.harness.badCredentialsUrl === undefined ? 'needs harness.badCredentialsUrl' : true),
    run: unauthenticated,
  },
  {
    name: 'errors/secrets-never-in-messages',
    title: 'no message shows a password or key of the address',
    run: secrets,
  },
]

async function codeTable(context: CaseContext): Promise<void> {
  const driver = await context.openDriver()
  const errorContext = { operation: 'send', topic: 'orders', group: 'billing' }
  const natives = context.world.harness.nativeErrors ?? []
  const strange = new Error('something that nobody foresaw')
  const table = [...natives, { error: strange, code: 'internal' as const, retryable: false }]
  for (const { error, code, retryable } of table) {
    const mapped = driver.toStreamError(error, errorContext)
    const what = error instanceof Error ? `${error.name} ${error.message}` : String(error)
    that(StreamError.is(mapped), `${what} becomes a StreamError`)
    that(errorCodes.includes(mapped.code), `${what} has one of the known codes, not "${mapped.code}"`)
    equal(mapped.code, code, `the code of ${what}`)
    if (retryable !== undefined) equal(mapped.retryable, retryable, `whether a retry can help with ${what}`)
    that(mapped.cause === error || mapped === error, `the native error is kept as the cause of ${mapped.message}`)
    that(mapped.message.length > 10, `the message says something: "${mapped.message}"`)
  }
  const own = new StreamError('throttled', 'slow down', { retryAfterMs: 10 })
  equal(driver.toStreamError(own, errorContext).code, 'throttled', 'the code of an error that is one of ours already')
  const missing = await driver.openTopic(context.name(), context.signal).then(
    () => undefined,
    (error: unknown) => error,
  )
  isError(missing, 'not-found', 'opening a topic that does not exist, asked of the driver')
}

async function codesReachTheCaller(context: CaseContext): Promise<void> {
  const final: readonly ErrorCode[] = [
    'not-found',
    'invalid-argument',
    'unauthenticated',
    'permission-denied',
    'too-large',
    'conflict',
    'corrupt',
    'internal',
  ]
  const { topic, shim } = await bench(context)
  const producer = topic.producer()
  for (const code of final) {
    const native = new Error(`native ${code}`)
    const rule = shim.fail('sendBatch', () => new StreamError(code, `the backend said ${code}`, { cause: native }))
    const error = await rejects(producer.send({ value: 1 }), code, `a send that fails with ${code}`)
    that(
      error.cause === native || (error.cause instanceof Error && error.cause.cause === native),
      `the native cause of ${code} is kept`,
    )
    equal(error.ambiguous, false, `whether ${code} may have happened`)
    equal(rule.used, 1, `tries of a send that fails with ${code}, which no retry can help`)
    rule.remove()
  }
  for (const code of ['throttled', 'unavailable', 'timeout'] as const) {
    const rule = shim.fail('sendBatch', code, { times: 2 })
    await producer.send({ value: 2 })
    equal(rule.used, 2, `failures with ${code} that a send outlived`)
    rule.remove()
  }
  await producer.close()
}

async function transient(context: CaseContext): Promise<void> {
  const { topic, shim } = await bench(context)
  const reading = read(context, member(topic, context.name('g')))
  await sendAll(topic, messages(20, 5))
  await reading.count(20)
  let sent = 20
  for (const code of ['throttled', 'unavailable', 'timeout'] as const) {
    const rules = [
      shim.fail({ operation: ['poll', 'pull'] }, code, { times: 1 }),
      shim.fail({ operation: ['commit', 'settle'] }, code, { times: 1 }),
    ]
    await sendAll(topic, messages(20, 5, sent))
    sent += 20
    await reading.count(sent)
    await context.eventually(() =>
      equal(
        rules.map((rule) => rule.used),
        [1, 1],
        `failures with ${code} of reading and of committing`,
      ),
    )
  }
  equal(reading.error(), undefined, 'the error that ended the consumer')
  await reading.stop()
  each(
    texts(reading.values()),
    texts(range(sent)),
    context.world.harness.copies ?? 1,
    'records through trouble that passed',
  )
}

async function unauthenticated(context: CaseContext): Promise<void> {
  const { harness } = context.world
  const url = harness.badCredentialsUrl ?? ''
  const opening = openHarness({ ...harness, url }, { signal: context.signal }).then(async (driver) => {
    context.defer(() => driver.close())
    await driver.openTopic(context.name(), context.signal)
  })
  await context.within(
    rejects(opening, ['unauthenticated', 'permission-denied'], 'opening with bad credentials'),
    10_000,
    'the refusal',
  )
}

async function secrets(context: CaseContext): Promise<void> {
  const { harness } = context.world
  const address = await addressOf(harness)
  const [scheme = ''] = address.split(':', 1)
  const secret = harness.secret ?? 'hunter2-Geheim'
  const bad = [
    `${scheme}://user:${secret}@nowhere.invalid:1/x?no-such-option=1&password=${secret}`,
    `${scheme}:x?password=${secret}&token=${secret}`,
    `no-such-scheme://user:${secret}@host/?secret=${secret}`,
  ]
  for (const url of bad) {
    const options = {
      ...harness.connectOptions,
      ...(harness.adapters === undefined ? {} : { adapters: harness.adapters }),
      connectTimeoutMs: 3_000,
    }
    const error = await connect(url, options).then(
      async (cloud) => {
        const shown = cloud.address
        await cloud.close()
        return new Error(shown)
      },
      (reason: unknown) => reason,
    )
    that(!everything(error).includes(secret), `nothing shows the secret of ${url.replaceAll(secret, '***')}`)
  }
  const { cloud, topic } = await bench(context)
  that(!cloud.address.includes(secret), 'the address of the connection shows no secret')
  const error = await topic.send({ value: 1, headers: { 'Bad Name': secret } }).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  isError(error, ['invalid-argument', 'unsupported'], 'a send with a bad header name')
  that(!everything(error).includes(secret), 'the message about a header shows none of its value')
}

/** Everything of an error that a log line could show. */
function everything(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 4) return String(error)
  const details = 'details' in error ? JSON.stringify(error.details) : ''
  return `${error.message} ${error.stack ?? ''} ${details} ${everything(error.cause, depth + 1)}`
}
