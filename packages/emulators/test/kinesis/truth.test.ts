import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NotRefused } from './fixtures.ts'
import { rows } from './truth/rows.ts'
import type { ServerName } from './truth/rows.ts'
import { startServer } from './truth/servers.ts'
import type { Asked } from './truth/servers.ts'

const servers: readonly ServerName[] = ['sluice', 'kinesalite', 'kinesis-local', 'localstack']

// The same calls to every server. Where another answers otherwise than the service, the row says so.
describe.each(servers)('%s', (server) => {
  let asked: Asked | string = 'not started'

  beforeAll(async () => {
    // oxlint-disable-next-line node/no-process-env -- where LocalStack is
    asked = await startServer(server, process.env)
  }, 90_000)

  beforeEach(({ skip }) => {
    if (typeof asked === 'string') skip(`${server}: ${asked}`)
  })

  afterAll(async () => {
    if (typeof asked !== 'string') await asked.close()
  })

  it.each(rows.map((row) => [row.name, row] as const))('%s', { timeout: 30_000 }, async (_, row) => {
    const others = row.others ?? {}
    const answer = server !== 'sluice' && server in others ? others[server] : row.answer
    expect(await answerOf(() => row.run(asked as Asked))).toEqual(answer)
  })
})

/** What came back, or how it went wrong. */
async function answerOf(run: () => Promise<unknown>): Promise<unknown> {
  try {
    return await run()
  } catch (error) {
    return error instanceof NotRefused ? 'accepted' : (error as Error).name
  }
}
