import { NodeHttpHandler } from '@smithy/node-http-handler'
import { describe, expect, it } from 'vitest'
import { asker, bytes, client, readAll, refusal, shard, start } from './fixtures.ts'
import type { Answer, Ask } from './fixtures.ts'
import type { KinesisServer } from '../../src/index.ts'

async function bench(): Promise<{ server: KinesisServer; ask: Ask; put(...keys: string[]): Promise<Answer> }> {
  const server = await start()
  const ask = asker(client(server))
  await ask('CreateStream', { StreamName: 's', ShardCount: 2 })
  const put = (...keys: string[]): Promise<Answer> =>
    ask('PutRecords', { StreamName: 's', Records: keys.map((key) => ({ Data: bytes(key), PartitionKey: key })) })
  return { server, ask, put }
}

describe('on demand', () => {
  it('one record of a request fails, and its neighbours do not', async () => {
    const { server, ask, put } = await bench()
    server.faults.add({ kind: 'fail-record', nth: 2, times: 1 })
    const { FailedRecordCount, Records } = await put('a', 'a', 'a')
    expect([FailedRecordCount, Records[1]]).toEqual([
      1,
      { ErrorCode: 'InternalFailure', ErrorMessage: 'Internal service failure.' },
    ])
    expect((await readAll(ask, 's', shard(0))).length).toBe(2)
  })

  it('a shard is throttled, and the other is not', async () => {
    const { server, ask, put } = await bench()
    const stop = server.faults.add({ kind: 'throttle', stream: 's', shard: shard(0) })
    const { Records } = await put('a', 'b')
    expect(Records.map(({ ErrorCode }: Answer) => ErrorCode)).toEqual([
      'ProvisionedThroughputExceededException',
      undefined,
    ])
    expect((await refusal(readAll(ask, 's', shard(0)))).name).toBe('ProvisionedThroughputExceededException')
    expect((await readAll(ask, 's', shard(1))).length).toBe(1)
    stop()
    expect((await put('a')).FailedRecordCount).toBe(0)
  })

  it('a response is lost after the records were stored', async () => {
    const { server, ask, put } = await bench()
    server.faults.add({ kind: 'lose-response', call: 'PutRecords', times: 1 })
    expect((await refusal(put('a'))).status).toBeUndefined()
    expect((await readAll(ask, 's', shard(0))).length).toBe(1)
  })

  it.each([0, 20])('an answer over HTTP/1.1 breaks off behind %i bytes', async (bytes) => {
    const { server } = await bench()
    const ask = asker(client(server, { requestHandler: new NodeHttpHandler() }))
    server.faults.add({ kind: 'cut-response', call: 'ListShards', times: 1, bytes })
    expect((await refusal(ask('ListShards', { StreamName: 's' }))).message).toContain('aborted')
    expect((await ask('ListShards', { StreamName: 's' })).Shards.length).toBe(2)
  })

  it('an answer over HTTP/2 breaks off behind its headers, and the SDK takes that for an empty one', async () => {
    const { server, ask } = await bench()
    server.faults.add({ kind: 'cut-response', call: 'ListShards', times: 1 })
    expect((await ask('ListShards', { StreamName: 's' })).Shards).toBeUndefined()
    expect((await ask('ListShards', { StreamName: 's' })).Shards.length).toBe(2)
  })

  it('a page is empty although there are records', async () => {
    const { server, ask, put } = await bench()
    await put('a')
    server.faults.add({ kind: 'empty-page', stream: 's', shard: shard(0), times: 1 })
    const { ShardIterator } = await ask('GetShardIterator', {
      StreamName: 's',
      ShardId: shard(0),
      ShardIteratorType: 'TRIM_HORIZON',
    })
    const empty = await ask('GetRecords', { ShardIterator })
    expect([empty.Records, empty.MillisBehindLatest > 0]).toEqual([[], true])
    const full = await ask('GetRecords', { ShardIterator: empty.NextShardIterator })
    expect([full.Records.length, full.MillisBehindLatest]).toEqual([1, 0])
    // Where there is nothing to hide it waits for something.
    server.faults.add({ kind: 'empty-page', times: 1 })
    expect((await ask('GetRecords', { ShardIterator: full.NextShardIterator })).MillisBehindLatest).toBe(0)
    await put('a')
    const behind = await ask('GetRecords', { ShardIterator: full.NextShardIterator })
    expect([behind.Records, behind.MillisBehindLatest > 0]).toEqual([[], true])
  })

  it('a call fails inside the service, before it does anything', async () => {
    const { server, ask, put } = await bench()
    server.faults.add({ kind: 'internal-error', call: 'PutRecords', times: 1 })
    expect(await refusal(put('a'))).toMatchObject({ status: 500 })
    expect((await readAll(ask, 's', shard(0))).length).toBe(0)
    await put('a')
  })

  it('a shard is slow to read', async () => {
    const { server, ask, put } = await bench()
    await put('a')
    server.faults.add({ kind: 'slow', stream: 's', shard: shard(0), ms: 80, times: 1 })
    const began = performance.now()
    expect((await readAll(ask, 's', shard(0))).length).toBe(1)
    expect(performance.now() - began).toBeGreaterThan(79)
  })

  it('slowness of a shard for one call leaves the others alone', async () => {
    const { server, ask, put } = await bench()
    await put('a')
    server.faults.add({ kind: 'slow', call: 'SubscribeToShard', stream: 's', ms: 5_000 })
    const began = performance.now()
    expect((await readAll(ask, 's', shard(0))).length).toBe(1)
    expect(performance.now() - began).toBeLessThan(4_000)
  })

  it('faults can be set over HTTP, in any language', async () => {
    const { server, put } = await bench()
    const control = (method: string, body?: object): Promise<Response> =>
      fetch(`${server.url}/_sluice/faults`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
    expect((await fetch(`${server.url}/_sluice/health`)).status).toBe(200)
    expect((await control('POST', { kind: 'fail-record' })).status).toBe(200)
    expect((await put('a')).FailedRecordCount).toBe(1)
    expect((await control('DELETE')).status).toBe(200)
    expect((await put('a')).FailedRecordCount).toBe(0)
    const wrong = await control('POST', { kind: 'fire' })
    expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining('fail-record')])
    expect((await fetch(`${server.url}/_sluice/other`)).status).toBe(404)
  })

  it.each([
    [{ kind: 'lose-response', shard: 's' }, 'A fault of the kind lose-response has no "shard"; known are times, call'],
    [{ kind: 'throttle', nth: 1 }, 'A fault of the kind throttle has no "nth"; known are stream, shard, times, what'],
    [{ kind: 'slow', ms: 1, time: 1 }, 'A fault of the kind slow has no "time"; did you mean "times"?'],
    [{ kind: 'lose-response', call: 'PutRecrods' }, "Value 'PutRecrods' at 'call' failed to satisfy constraint"],
    [{ kind: 'throttle', times: 1.5 }, '"times" of a fault is a whole number'],
    [{ kind: 'slow' }, "Value null at 'ms' failed to satisfy constraint: Member must not be null"],
  ])('a fault of which something is said that its kind does not have is refused: %j', async (fault, why) => {
    const { server } = await bench()
    const answer = await fetch(`${server.url}/_sluice/faults`, { method: 'POST', body: JSON.stringify(fault) })
    expect([answer.status, await answer.text()]).toEqual([
      400,
      expect.stringContaining(JSON.stringify(why).slice(1, -1)),
    ])
  })
})
