import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { Workplace } from './sluice.ts'

/** What each line of `--json` output holds. */
function lines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

it('sends a value with key and headers, and shows it again', async () => {
  using here = new Workplace()
  const sent = await here.sluice([
    'send',
    '--create',
    'orders',
    '{"cents":1200}',
    '-k',
    'c7',
    '-H',
    'a=1',
    '-H',
    'b=x=y',
    '--json',
  ])
  expect(sent).toMatchObject({ code: 0, stderr: '' })
  const tail = await here.sluice(['tail', 'orders', '--json'])
  expect(lines(tail.stdout)).toMatchObject([{ key: 'c7', headers: { a: '1', b: 'x=y' }, value: { cents: 1200 } }])
  expect(lines(tail.stdout)[0]).toMatchObject({ id: lines(sent.stdout)[0]?.['id'] })
})

it('sends to the partition that is named, one value and lines alike, and to no other', async () => {
  using here = new Workplace()
  await here.sluice(['topics', 'create', 'orders', '--partitions', '3'])
  const sent = await here.sluice(['send', 'orders', '1', '-k', 'a', '--partition', '2', '--json'])
  expect(lines(sent.stdout)).toMatchObject([{ topic: 'orders', partition: '2' }])
  await here.sluice(['send', 'orders', '--stdin', '--partition', '2'], { input: '2\n3\n4\n' })
  const { stdout } = await here.sluice(['tail', 'orders', '--json'])
  expect(lines(stdout).map(({ partition, value }) => [partition, value])).toEqual([1, 2, 3, 4].map((n) => ['2', n]))
  expect(await here.sluice(['send', 'orders', '5', '--partition', '3'])).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(
      /^error: not-found\n {2}what: {2}partition "3" of topic "orders" does not exist\n.*\n {2}help: {2}open ones are 0, 1, 2\n$/,
    ) as string,
  })
})

it('sends what does not parse as JSON as text, and everything with --text', async () => {
  using here = new Workplace()
  await here.sluice(['send', '--create', 'words', 'hello there', '-k', 'k'])
  await here.sluice(['send', '--create', 'words', '42', '-k', 'k'])
  await here.sluice(['send', '--create', 'words', '42', '-k', 'k', '--text'])
  const { stdout } = await here.sluice(['tail', 'words', '--json'])
  expect(lines(stdout).map(({ value }) => value)).toEqual(['hello there', 42, '42'])
})

it('sends each line of stdin and of a file, taking keys from a field', async () => {
  using here = new Workplace({ 'orders.ndjson': '{"id":1}\n\n{"id":"two"}\n' })
  const piped = await here.sluice(['send', '--create', 'orders', '--stdin', '--key-from', 'id'], {
    input: '{"id":3}\n',
  })
  const filed = await here.sluice(['send', '--create', 'orders', '--file', 'orders.ndjson', '--key-from', 'id'])
  expect([piped.stdout, filed.stdout]).toEqual(['sent 1 message to orders\n', 'sent 2 messages to orders\n'])
  const { stdout } = await here.sluice(['tail', 'orders', '--json'])
  expect(new Set(lines(stdout).map(({ key }) => key))).toEqual(new Set(['1', 'two', '3']))
})

it('names the line whose value has no key, and sends those before it', async () => {
  using here = new Workplace()
  const { code, stderr } = await here.sluice(['send', '--create', 'o', '--stdin', '--key-from', 'id'], {
    input: '{"id":3}\n{"x":1}\n',
  })
  expect(code).toBe(2)
  expect(stderr).toMatch(/the value of line 2 has no text or number "id"/)
  expect(stderr).toMatch(/the 1 message of the lines before it are stored, go on from line 2/)
  expect(lines((await here.sluice(['tail', 'o', '--json'])).stdout)).toHaveLength(1)
})

it('refuses a line that is no JSON, of a file and of stdin alike, and says what is stored; --text takes it', async () => {
  const input = '{"n":1}\n{"n":2}\n\n{"n":\n{"n":4}\n'
  using here = new Workplace({ 'n.ndjson': input })
  const filed = await here.sluice(['send', '--create', 'n', '--file', 'n.ndjson'])
  expect(filed).toMatchObject({ code: 2, stdout: 'sent 2 messages to n\n' })
  expect(filed.stderr).toMatch(
    /line 4 is no JSON, and text takes --text: \{"n":; the 2 messages of the lines before it are stored, go on from line 4\n/,
  )
  const piped = await here.sluice(['send', 'n', '--stdin'], { input: 'hello\n' })
  expect(piped).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringMatching(/line 1 is no JSON.*; nothing is stored/) as string,
  })
  expect(await here.sluice(['send', 'n', '--stdin', '--text'], { input: 'hello\n' })).toMatchObject({ code: 0 })
  const tail = await here.sluice(['tail', 'n', '--json'])
  expect(lines(tail.stdout).map(({ value }) => (value as { n?: number }).n ?? value)).toHaveLength(3)
})

it('takes lines of any editor: a byte order mark, carriage returns, separators inside, no end of the last', async () => {
  using here = new Workplace({ 'n.ndjson': '\uFEFF{"n":1}\r\n\r\n{"n":"a\u2028b"}' })
  const sent = await here.sluice(['send', '--create', 'n', '-k', 'k', '--file', 'n.ndjson'])
  expect(sent).toMatchObject({ code: 0, stdout: 'sent 2 messages to n\n' })
  const { stdout } = await here.sluice(['tail', 'n', '--json'])
  expect(lines(stdout).map(({ value }) => value)).toEqual([{ n: 1 }, { n: 'a\u2028b' }])
})

it.each([[[]], [['--text']]])('refuses a line that is not UTF-8, with options %j', async (options) => {
  using here = new Workplace()
  writeFileSync(join(here.path, 'n.ndjson'), Buffer.concat([Buffer.from('"fine"\n"'), Buffer.from([0xff, 0x22, 0x0a])]))
  const sent = await here.sluice(['send', '--create', 'n', '--file', 'n.ndjson', ...options])
  expect(sent).toMatchObject({ code: 2, stdout: 'sent 1 message to n\n' })
  expect(sent.stderr).toMatch(/line 2 is no text in UTF-8; the 1 message of the lines before it are stored, go on from/)
})

it('says how many are stored when the backend takes a line for none of its own', async () => {
  using here = new Workplace()
  const input = `{"n":1}\n"${'x'.repeat(17 * 1024 * 1024)}"\n`
  const { code, stderr } = await here.sluice(['send', '--create', 'n', '--stdin'], { input })
  expect(stderr).toMatch(
    /^error: too-large\n {2}what: {2}line 2 was not sent \(1 other message of the input are stored\): /,
  )
  expect(code).toBe(1)
})

it('starts at a position of a partition, at a time, and ends after the limit', async () => {
  using here = new Workplace()
  await here.sluice(['topics', 'create', 'n', '--partitions', '1'])
  await here.sluice(['send', '--create', 'n', '--stdin'], { input: '0\n1\n2\n3\n' })
  const tail = async (...args: string[]): Promise<unknown[]> =>
    lines((await here.sluice(['tail', 'n', '--json', ...args])).stdout).map(({ value }) => value)
  expect(await tail('--from', '0:2')).toEqual([2, 3])
  expect(await tail('--from', '2020-01-01')).toEqual([0, 1, 2, 3])
  expect(await tail('--from', 'latest')).toEqual([])
  expect(await tail('-n', '2')).toEqual([0, 1])
})

it('follows until Ctrl-C, which ends it with 130', async () => {
  using here = new Workplace()
  await here.sluice(['topics', 'create', 'n'])
  const following = here.start(['tail', 'n', '-f', '--from', 'earliest'])
  await here.sluice(['send', '--create', 'n', '"first"'])
  await following.printed('"first"')
  await here.sluice(['send', '--create', 'n', '"second"'])
  await following.printed('"second"')
  following.interrupt()
  expect(await following.ended).toMatchObject({ code: 130, stderr: '' })
})

it('says that sends are tried again, and ends soon after Ctrl-C', async () => {
  using here = new Workplace()
  const [small, file] = ['local:./small?maxPages=40', join(here.path, 'lines')]
  writeFileSync(file, `"${'x'.repeat(10_000)}"\n`.repeat(200))
  const sending = here.start(['send', '--create', 'n', '--file', file, '--backend', small])
  await sending.printed('sending failed and will be tried again')
  await sending.printed('the disk is full')
  const interruptedMs = performance.now()
  sending.interrupt()
  const { code, stderr } = await sending.ended
  expect(code).toBe(130)
  expect(stderr).toMatch(
    /^\d+ messages from line \d+ on, of \d+ lines that were read, had no answer and may be stored$/m,
  )
  expect(performance.now() - interruptedMs).toBeLessThan(30_000)
})

it('ends at Ctrl-C also while it waits for input', async () => {
  using here = new Workplace()
  await here.sluice(['topics', 'create', 'n'])
  const following = here.start(['tail', 'n', '-f', '--from', 'earliest'])
  const sending = here.start(['send', 'n', '--stdin'])
  sending.child.stdin.write('"one"\n"two"\n')
  await following.printed('"two"')
  following.interrupt()
  sending.interrupt()
  expect(await sending.ended).toMatchObject({ code: 130, stdout: 'sent 2 messages to n\n', stderr: '' })
  await following.ended
})

it('ends quietly when nobody reads its output any more', async () => {
  using here = new Workplace()
  const input = Array.from({ length: 5_000 }, (_, n) => `{"n":${n},"padding":"${'x'.repeat(100)}"}`).join('\n')
  await here.sluice(['send', '--create', 'n', '--stdin'], { input })
  const tail = here.start(['tail', 'n'])
  tail.child.stdout.once('data', () => tail.child.stdout.destroy())
  expect(await tail.ended).toMatchObject({ code: 0, stderr: '' })
})

it('makes, lists, describes and deletes topics', async () => {
  using here = new Workplace()
  const topics = (...args: string[]): ReturnType<Workplace['sluice']> => here.sluice(['topics', ...args])
  expect(await topics('list')).toMatchObject({ code: 0, stdout: '', stderr: 'no topics\n' })
  expect(await topics('list', '--json')).toMatchObject({ code: 0, stdout: '', stderr: '' })
  const spec = ['--partitions', '2', '--retention', '7d', '--retention-bytes', '1GiB']
  expect((await topics('create', 'orders', ...spec)).stdout).toBe('orders: created\n')
  expect((await topics('create', 'orders')).stdout).toBe('orders: exists\n')
  expect((await topics('list')).stdout).toBe('orders\n')
  const [described] = lines((await topics('describe', 'orders', '--json')).stdout)
  expect(described).toMatchObject({ retentionMs: 604_800_000, retentionBytes: 1_073_741_824, partitions: [{}, {}] })
  expect((await topics('delete', 'orders', '--yes')).stdout).toBe('orders: deleted\n')
  expect((await topics('list')).stdout).toBe('')
})

it('changes the number of partitions, to fewer only with --shrink', async () => {
  using here = new Workplace()
  const topics = (...args: string[]): ReturnType<Workplace['sluice']> => here.sluice(['topics', ...args])
  await topics('create', 'orders', '--partitions', '2', '--retention', '7d')
  expect((await topics('grow', 'orders', '3')).stdout).toBe('orders: 3 partitions\n')
  const shrunk = await topics('grow', 'orders', '1')
  expect(shrunk).toMatchObject({ code: 2, stdout: '' })
  expect(shrunk.stderr).toMatch(/"orders" has 3 partitions, 1 is fewer; say --shrink if you mean it/)
  expect((await topics('grow', 'orders', '1', '--shrink')).stdout).toBe('orders: 1 partition\n')
  expect((await topics('describe', 'orders')).stdout).toMatch(/, kept 7 days\nPARTITION +STATE/)
})

it('takes the backend from the flag, the environment or the pipeline of the folder, in this order', async () => {
  using here = new Workplace({ 'sluice.yaml': 'backend: local:./of-file' })
  const listWith = async (env: Record<string, string>, ...args: string[]): Promise<string> =>
    (await here.sluice(['topics', 'list', ...args], { env })).stdout
  for (const name of ['file', 'environment', 'flag']) {
    await here.sluice(['topics', 'create', `on-${name}`, '-b', `local:./of-${name}`])
  }
  const env = { SLUICE_BACKEND: 'local:./of-environment' }
  expect(await listWith({})).toBe('on-file\n')
  expect(await listWith(env)).toBe('on-environment\n')
  expect(await listWith(env, '-b', 'local:./of-flag')).toBe('on-flag\n')
})

it('says that a topic is missing, with the nearest there is, instead of making one of a mistyped name', async () => {
  using here = new Workplace()
  const none = await here.sluice(['send', 'oders', '1'])
  expect(none).toMatchObject({ code: 1, stdout: '' })
  expect(none.stderr).toMatch(
    /^error: not-found\n {2}what: {2}topic "oders" does not exist\n.*\n {2}help: {2}make it with --create\n$/,
  )
  await here.sluice(['topics', 'create', 'orders'])
  expect((await here.sluice(['send', 'oders', '1'])).stderr).toMatch(
    /help: {2}did you mean "orders"\? else make it with --create\n$/,
  )
  expect((await here.sluice(['topics', 'describe', 'oders'])).stderr).toMatch(
    /help: {2}did you mean "orders"\? else make it with `sluice topics create oders`\n$/,
  )
})
