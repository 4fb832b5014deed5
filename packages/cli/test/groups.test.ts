import { describe, expect, it } from 'vitest'
import { Workplace } from './sluice.ts'

const numbers = `
backend: local:./log
topics: { in: { partitions: 2 }, out: {} }
sources: { count: { to: in, use: ./code.ts } }
functions: { double: { from: in, to: out, use: ./code.ts, retry: { maxAttempts: 2, base: 1ms, max: 2ms } } }
clients: { print: { from: out, use: ./code.ts } }
`

/** Numbers 0 to 9, doubled; 7 cannot be. */
const code = `
export function* count() {
  for (let n = 0; n < 10; n++) yield { id: 'n' + n, key: 'k' + (n % 3), value: n }
}
export const double = {
  name: 'double',
  handle(message: { value: number; key: string; headers: Record<string, string> }) {
    if (message.value === 7 && process.env['SEVEN'] !== 'fine') throw new Error('seven is not for doubling')
    return { key: message.key, value: message.value * 2 }
  },
}
export function print(message: { value: number }) {
  console.log('doubled ' + message.value)
}
`

describe('groups and dead letters of a pipeline that ran', () => {
  it('shows lag, and replays a group from the start', async () => {
    using here = new Workplace({ 'sluice.yaml': numbers, 'code.ts': code })
    await here.sluice(['run', '--until-idle'])
    expect((await here.sluice(['groups', 'list', 'in'])).stdout).toBe('double\n')
    const lag = async (): Promise<number> => {
      const { stdout } = await here.sluice(['groups', 'lag', 'in', 'double', '--json'])
      const rows = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { messages: number })
      return rows.reduce((sum, { messages }) => sum + messages, 0)
    }
    expect(await lag()).toBe(0)
    expect((await here.sluice(['groups', 'replay', 'in', 'double'])).stdout).toBe('double on in starts from earliest\n')
    expect(await lag()).toBe(10)
    await here.sluice(['groups', 'seek', 'in', 'double', 'latest'])
    expect(await lag()).toBe(0)
  })

  it('lists, shows and sends back what could not be handled', async () => {
    using here = new Workplace({ 'sluice.yaml': numbers, 'code.ts': code })
    await here.sluice(['run', '--until-idle'])
    const list = await here.sluice(['dead-letters', 'list', 'in', '--json'])
    const letter = JSON.parse(list.stdout) as { id: string }
    expect(letter).toMatchObject({
      id: 'n7',
      group: 'double',
      attempts: 2,
      reason: expect.stringMatching(/seven is not for doubling/) as string,
    })
    const shown = await here.sluice(['dead-letters', 'show', 'in', letter.id])
    expect(shown.stdout).toMatch(/reason|error .*seven is not for doubling/)
    expect(shown.stdout).toMatch(/body\n {2}7\n$/)
    expect((await here.sluice(['dead-letters', 'send-back', 'in', letter.id])).stdout).toMatch(/^sent back 1 /)
    const again = await here.sluice(['run', '--until-idle'], { env: { SEVEN: 'fine' } })
    expect(again.stdout).toBe('doubled 14\n')
    expect((await here.sluice(['dead-letters', 'list', 'in', '--json'])).stdout).toBe('')
  })
})

/** What the lines of `--json` output say. */
function rows<T>(text: string, of: (row: Readonly<Record<string, string>>) => T): readonly T[] {
  const lines = text.split('\n').filter((line) => line !== '')
  return lines.map((line) => of(JSON.parse(line) as Record<string, string>))
}

describe('a group that does not exist', () => {
  it('is not-found by seek, replay and lag, with the nearest name, and not made', async () => {
    using here = new Workplace()
    await here.sluice(['topics', 'create', 'in'])
    expect(await here.sluice(['groups', 'seek', 'in', 'billing', 'latest', '--create'])).toMatchObject({ code: 0 })
    for (const [what, ...more] of [['seek', 'latest'], ['replay'], ['lag']] as const) {
      const { code: exit, stdout, stderr } = await here.sluice(['groups', what, 'in', 'biling', ...more])
      expect(stderr).toMatch(/^error: not-found\n {2}what: {2}there is no group "biling" on topic "in"\n/)
      expect(stderr).toMatch(
        /\n {2}where: local:\.\/data, topic in, group biling\n {2}help: {2}did you mean "billing"\?\n$/,
      )
      expect({ exit, stdout }).toEqual({ exit: 1, stdout: '' })
    }
    expect((await here.sluice(['groups', 'list', 'in'])).stdout).toBe('billing\n')
  })
})

it('deletes a group that exists, with --yes', async () => {
  using here = new Workplace()
  await here.sluice(['topics', 'create', 'in'])
  for (const what of ['list', 'lag'])
    expect(await here.sluice(['groups', what, 'in'])).toEqual({
      code: 0,
      stdout: '',
      stderr: 'no groups of topic "in"\n',
    })
  await here.sluice(['groups', 'seek', 'in', 'billing', 'latest', '--create'])
  expect(await here.sluice(['groups', 'delete', 'in', 'biling', '--yes'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/did you mean "billing"/) as string,
  })
  expect(await here.sluice(['groups', 'delete', 'in', 'billing', '--yes'])).toMatchObject({
    code: 0,
    stdout: 'billing on in: deleted\n',
  })
  expect((await here.sluice(['groups', 'list', 'in'])).stdout).toBe('')
})

it('a seek to a position moves the partition it names, and no other', async () => {
  using here = new Workplace()
  await here.sluice(['topics', 'create', 'in', '--partitions', '2'])
  const input = Array.from({ length: 20 }, (_, n) => `{"k":"k${n}"}`).join('\n')
  await here.sluice(['send', 'in', '--stdin', '--key-from', 'k'], { input })
  await here.sluice(['groups', 'seek', 'in', 'g', 'latest', '--create'])
  await here.sluice(['groups', 'seek', 'in', 'g', '0:1'])
  const { stdout } = await here.sluice(['groups', 'lag', 'in', '--json'])
  const lag = rows(stdout, ({ partition, messages }) => [partition, Number(messages) > 0])
  expect(lag).toEqual([
    ['0', true],
    ['1', false],
  ])
})

it('shows partitions that ended as long as a group has something left to read there', async () => {
  using here = new Workplace()
  await here.sluice(['topics', 'create', 'in', '--partitions', '2'])
  await here.sluice(['send', 'in', '1', '--partition', '0'])
  await here.sluice(['groups', 'seek', 'in', 'g', 'earliest', '--create'])
  await here.sluice(['topics', 'grow', 'in', '3'])
  const shown = async (...command: string[]): Promise<unknown> => {
    const { stderr, stdout } = await here.sluice(command)
    const [head, ...rows] = stdout
      .replace(/^in: .*\n/, '')
      .trimEnd()
      .split('\n')
    const at = head?.indexOf('PARTITION') ?? 0
    return { partitions: rows.map((row) => row.slice(at).split(' ', 1)[0]), stderr }
  }
  const one = 'left out: 1 partition that ended; see all with --all\n'
  expect(await shown('groups', 'lag', 'in')).toEqual({ partitions: ['0', '2', '3', '4'], stderr: one })
  expect(await shown('topics', 'describe', 'in')).toEqual({ partitions: ['0', '2', '3', '4'], stderr: one })
  const all = { partitions: ['0', '1', '2', '3', '4'], stderr: '' }
  expect(await shown('groups', 'lag', 'in', 'g', '--all')).toEqual(all)
  expect(await shown('topics', 'describe', 'in', '--all')).toEqual(all)
})

const twoThatFail = `
backend: local:./log
topics: { in: { partitions: 1 } }
sources: { one: { to: in, use: ./code.ts } }
sinks:
  left: { from: in, use: ./code.ts, retry: { maxAttempts: 1 } }
  right: { from: in, use: ./code.ts, retry: { maxAttempts: 1 } }
`

const failing = `
export function* one() { yield { id: 'n1', value: 1 } }
export function left() { throw new Error('not left') }
export function right() { throw new Error('not right') }
`

describe('dead letters', () => {
  it('of one record are told apart, and only the one that is named is sent back', async () => {
    using here = new Workplace({ 'sluice.yaml': twoThatFail, 'code.ts': failing })
    await here.sluice(['run', '--until-idle'])
    const letters = async (...args: string[]): Promise<ReturnType<Workplace['sluice']>> =>
      here.sluice(['dead-letters', ...args])
    const listed = rows((await letters('list', 'in', '--json')).stdout, ({ letter = '', id, group = '' }) => ({
      letter,
      id,
      group,
    }))
    expect(listed.map(({ id }) => id)).toEqual(['n1', 'n1'])
    for (const command of ['show', 'send-back']) {
      const several = await letters(command, 'in', 'n1')
      expect(several).toMatchObject({ code: 1, stdout: '' })
      expect(several.stderr).toMatch(
        /^error: conflict\n {2}what: {2}"n1" stands for 2 dead letters of in\.dead-letters\n/,
      )
      for (const { letter, group } of listed) expect(several.stderr).toContain(`${letter} (group ${group})`)
    }
    const [named, other] = listed
    const shown = rows((await letters('show', 'in', named?.letter ?? '', '--json')).stdout, (row) => row)
    expect(shown).toMatchObject([{ id: 'n1', origin: { group: named?.group } }])
    expect(await letters('send-back', 'in', shown[0]?.['letterId'] ?? '')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^sent back 1 /) as string,
    })
    expect(rows((await letters('list', 'in', '--json')).stdout, ({ group }) => group)).toEqual([other?.group])
  })

  it('that are not there are not-found, and none of those named with them is sent back', async () => {
    using here = new Workplace({ 'sluice.yaml': numbers, 'code.ts': code })
    await here.sluice(['run', '--until-idle'])
    for (const args of [
      ['show', 'in', 'n8'],
      ['send-back', 'in', 'n7', 'n8'],
    ]) {
      const gone = await here.sluice(['dead-letters', ...args])
      expect(gone).toMatchObject({ code: 1, stdout: '' })
      expect(gone.stderr).toMatch(/^error: not-found\n {2}what: {2}there is no dead letter "n8" in in\.dead-letters\n/)
    }
    expect(rows((await here.sluice(['dead-letters', 'list', 'in', '--json'])).stdout, ({ id }) => id)).toEqual(['n7'])
  })
})
