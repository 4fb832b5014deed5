import { parseArgs } from 'node:util'
import { findNats, freePort, NatsServer } from '@sluice/emulators'
import type { NatsBinary } from '@sluice/emulators'
import { cellOf } from './cell.ts'
import type { Cell, Pace } from './cell.ts'
import { compare, costsTable, keysTable, ratesTable, timesTable } from './compare.ts'
import type { CellResult, Contest } from './compare.ts'
import { benchHotShard } from './hot-shard.ts'
import { benchKinesisServer } from './kinesis-server.ts'
import { provideLifion } from './lifion-folder.ts'
import { KinesisServers } from './kinesis-servers.ts'
import { median, ratioOf } from './measure.ts'
import { benchMembers } from './members.ts'
import { renew, report } from './results.ts'
import type { Section } from './results.ts'
import { benchStuck } from './stuck.ts'
import { benchWithinQuotas } from './within-quotas.ts'

const everySize = '100,1024,65536'
const everyKeys = '1,16,10000'

/**
 * `npm run bench [-- --only local,local-times,nats,nats-times,kinesis,members,stuck,kinesis-server] [--rounds N] [--sizes 100,1024,65536] [--keys 1,16,10000] [--out FILE]`:
 * Sluice beside the same work by hand. What was measured at all sizes and keys is renewed in `bench/results.md`, or in what `--out` says.
 */
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'local,local-times,nats,nats-times,kinesis,members,stuck,kinesis-server' },
    rounds: { type: 'string', default: '5' },
    sizes: { type: 'string', default: everySize },
    keys: { type: 'string', default: everyKeys },
    backlog: { type: 'string', default: '1000000' },
    out: { type: 'string' },
  },
})
const rounds = Number(values.rounds)
const numbers = (list: string): readonly number[] => list.split(',').map(Number)
const parts = new Set(values.only.split(','))
const whole = values.sizes === everySize && values.keys === everyKeys
const out = values.out ?? (whole ? new URL('../results.md', import.meta.url).pathname : undefined)
const nothing = (): Promise<void> => Promise.resolve()
const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Every number of keys for the pace, 16 for single records; and without order, where there is such a thing. */
function cells(pace: Pace, withoutOrder: boolean, what: Contest['what']): readonly Cell[] {
  const keys = [...(what === 'pace' ? numbers(values.keys) : [16]), ...(withoutOrder ? [0] : [])]
  return numbers(values.sizes).flatMap((bytes) => keys.map((count) => cellOf(bytes, count, pace, what === 'times')))
}

const inTimes = `A turn in which the hypervisor gave more than 10 ms of our cores to others is taken again, while there are any to spare.
All ways run with \`--max-semi-space-size=1\`: without it V8 decides the tail of large records, by "A large young generation" in
[performance](../docs/performance.md).`

function tables(results: readonly CellResult[]): string {
  return `### Sends, batched

${ratesTable(results, 'send')}

### Consuming

${ratesTable(results, 'consume')}

### Many keys

${keysTable(results)}

### What it costs

${costsTable(results)}`
}

function timesTables(results: readonly CellResult[]): string {
  return `### Sends, one by one

${timesTable(results, 'singles')}

### End to end, at a steady rate

${timesTable(results, 'latencies')}`
}

function compareLocal(what: Contest['what']): Promise<readonly CellResult[]> {
  return compare(
    {
      byHand: [
        { way: 'sqlite', name: '`node:sqlite`' },
        { way: 'segment', name: 'segment file' },
      ],
      cells: cells({ records: 200_000, perSecond: 200 }, false, what),
      rounds,
      what,
      place: (way, folder) =>
        Promise.resolve({ address: way === 'sluice' ? `local:${folder}` : folder, [Symbol.asyncDispose]: nothing }),
    },
    say,
  )
}

async function local(): Promise<string> {
  return `## local

\`node:sqlite\` by hand: the same layout (one row for each batch of a partition), the same durability (WAL,
synchronous=FULL), ids, keys, JSON both ways, offsets stored after each batch; no groups, retries, receipts or checks. Segment
file: one file that grows, fdatasync after each batch; no partitions, no index.

${tables(await compareLocal('pace'))}`
}

async function localTimes(): Promise<string> {
  return `## local, single records

Both by hand work in the caller's own thread, and read there what was just written: end to end, they are the time of a commit.
${inTimes}

${timesTables(await compareLocal('times'))}`
}

async function compareNats(what: Contest['what'], binary: NatsBinary): Promise<readonly CellResult[]> {
  return compare(
    {
      byHand: [
        { way: 'nats', name: 'client' },
        {
          way: 'nats-in-order',
          name: 'client, in order',
          share: 0.2,
          when: ({ keys }) => keys === 1 || keys === 16,
          phase: 'send',
        },
      ],
      cells: cells({ records: 90_000, perSecond: 1_000 }, true, what),
      rounds,
      what,
      place: async () => {
        const server = await NatsServer.start(binary)
        return { address: server.url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
      },
    },
    say,
  )
}

async function nats(): Promise<string> {
  const binary = await natsBinary()
  return `## NATS

nats-server ${binary.version}, file storage, one replica, started anew for each way and round. The client by hand: \`publish\` with a message id, as many in flight as
Sluice has; an ordered consumer whose place is put into a bucket every 1 000 records, or, without order, a durable consumer
with confirmed acknowledgements. It pipelines records of one key, and so loses their order when one of them fails; Sluice
does not. "In order", it has one record of each key in flight, which keeps it.

${tables(await compareNats('pace', binary))}`
}

async function natsTimes(): Promise<string> {
  const binary = await natsBinary()
  return `## NATS, single records

As above; 40 turns of a quarter of a second in each round. "Of a turn": each turn has a p99 of its own, and the one in the middle is
taken; what a machine does to some turns is not in it, nor is what Sluice does to less than half of them.
${inTimes}

${timesTables(await compareNats('times', binary))}`
}

async function natsBinary(): Promise<NatsBinary> {
  const found = await findNats({ env: process.env, provide: true })
  if ('tried' in found) throw new Error(`no nats-server: ${found.tried.join('; ')}`)
  return found
}

/** What Sluice is held against. Without aggregation it has, of one key, one record in a request. */
const kinesisRivals: Contest['byHand'] = [
  { way: 'kinesis', name: 'SDK' },
  {
    way: 'kinesis-in-order',
    name: 'SDK, in order',
    share: 0.05,
    when: ({ keys }) => keys === 1 || keys === 16,
    phase: 'send',
  },
  {
    way: 'sluice',
    name: '`aggregation=false`',
    options: '&aggregation=false',
    share: 0.3,
    ratio: true,
    when: ({ keys }) => keys > 1,
  },
  {
    way: 'sluice',
    name: '`mode=efo`',
    options: '&mode=efo',
    ratio: true,
    phase: 'consume',
    when: ({ keys }) => keys === 16,
  },
  { way: 'lifion', name: '`lifion-kinesis`', phase: 'consume', when: ({ keys }) => keys === 16 },
]

async function kinesis(): Promise<string> {
  provideLifion()
  const results = await compare(
    {
      byHand: kinesisRivals,
      cells: numbers(values.sizes).flatMap((bytes) =>
        numbers(values.keys).map((keys) => cellOf(bytes, keys, { records: 90_000, perSecond: 0 }, false)),
      ),
      rounds,
      what: 'pace',
      place: async () => {
        const servers = await KinesisServers.start()
        return {
          address: servers.address,
          [Symbol.asyncDispose]: () => Promise.resolve(servers[Symbol.dispose]()),
        }
      },
    },
    say,
  )
  using servers = await KinesisServers.start()
  const hot = await benchHotShard(servers, rounds)
  const quotas = await benchWithinQuotas(rounds)
  return `## Kinesis

The Kinesis server of \`@sluice/emulators\`, quotas off, and dynalite for leases and places, each in a process of its own and for each way; four
shards. The SDK by hand: \`PutRecords\` of 500 records, four requests in flight as Sluice has; \`GetRecords\` of 1 000 from all
shards at once, and the place put into a table after each answer; HTTP/1.1 over connections as Sluice has them. It sends records of one
key without waiting for one another, and so loses their order when one is refused; Sluice does not, and so sends them one at a time
where it may not aggregate. "In order", it has one record of each key under way, which keeps it. Sluice polls unless it says otherwise. \`lifion-kinesis\` 1.3.3 reads what the SDK has sent, with leases.

### Sends, batched

${ratesTable(results, 'send')}

### Consuming

${ratesTable(results, 'consume')}

### Many keys

${keysTable(results)}

### What it costs

${costsTable(results)}

### Within the quotas of the service

Four shards of 1 000 records and 1 MB a second each, 100 B, four keys for each shard. By hand, what is refused is sent again after
100 ms.

| k records/s | Sluice | SDK | ratio |
| --- | --- | --- | --- |
| 100 B, 16 keys | ${thousands(median(quotas.ours))} | ${thousands(median(quotas.byHand))} | ${ratioOf(quotas.ours, quotas.byHand)} |

### A hot shard

${hot.shards} shards, 1 KB, and a sender for each through one producer; one shard refuses everything, as over its quota.

| | |
| --- | --- |
| k records/s of the others while nobody sends to it | ${thousands(median(hot.without))} |
| while somebody does | ${thousands(median(hot.withIt))}: ${ratioOf(hot.withIt, hot.without)} |
| sends to it that waited, and were stored once it took records again | ${hot.waited} |`
}

async function members(): Promise<string> {
  const binary = await natsBinary()
  const port = await freePort()
  await using server = await NatsServer.start(binary, { config: `http: "127.0.0.1:${port}"` })
  const result = await benchMembers(server.url, `http://127.0.0.1:${port}`)
  const [fewest, most] = result.shares
  const bounded = result.balancedAfter < 30 && result.idleIn < 4 * result.partitions && result.idleCpu < 50
  if (!bounded) process.exitCode = 1
  return `## Many partitions and members

${result.partitions} partitions of a NATS topic and a group of ${result.members} members, in one process with a connection each, nats-server ${binary.version}.
Bounds: balanced within 30 s; idle, no more than 4 messages per second and partition to the server, and half a core for all
members together.${bounded ? '' : ' **Not kept.**'}

| | |
| --- | --- |
| balanced, from the start of all members | ${result.balancedAfter.toFixed(1)} s, with ${fewest} to ${most} partitions each |
| balanced again after two members have left | ${result.rebalancedAfter.toFixed(1)} s |
| messages per second to the server and from it, idle | ${Math.round(result.idleIn)}, ${Math.round(result.idleOut)} |
| CPU of all members, idle | ${result.idleCpu.toFixed(0)} % of a core |
| CPU of the server, idle, as it tells it | ${result.serverCpu.toFixed(0)} % |`
}

async function stuck(): Promise<string> {
  const result = await benchStuck(Number(values.backlog))
  if (!result.recovered) process.exitCode = 1
  return `## A stuck handler before a backlog

${result.backlog} records of 16 keys in 4 partitions; the handler of one key's first record hangs until all others are through.

| | |
| --- | --- |
| records of other keys handled meanwhile | ${result.handledMeanwhile} of ${result.backlog - result.ofStuckKey}, in ${result.seconds.toFixed(1)} s |
| resident memory after a tenth, and at the end | ${result.rssMiBAtTenth} MiB, ${result.rssMiBAtEnd} MiB |
| times the key was parked | ${result.parked} |
| afterwards every record of the stuck key came, in order | ${result.recovered ? 'yes' : 'NO'} |`
}

async function kinesisServer(): Promise<string> {
  const result = await benchKinesisServer(rounds, 100_000)
  const { rates, startMs, processMs, idleMiB, fullMiB, dataMiB } = result
  const rows = rates.map(({ protocol, put, got }) => `| ${protocol} | ${thousands(put)} | ${thousands(got)} |`)
  return `## The Kinesis server of \`@sluice/emulators\`

In a process of its own, quotas off; the AWS SDK in another: \`PutRecords\` of 500 records of 1 KB, four in flight, into four
shards; then \`GetRecords\` of 1 000 from each.

| k records/s | in | out |
| --- | --- | --- |
${rows.join('\n')}

| | |
| --- | --- |
| listens after | ${startMs.toFixed(0)} ms; ${processMs.toFixed(0)} ms with the start of Node |
| resident memory, idle; with ${dataMiB.toFixed(0)} MiB of records | ${idleMiB.toFixed(0)} MiB; ${fullMiB.toFixed(0)} MiB |
| ${result.malformed} requests that are none | ${thousands(result.malformedPerSecond)} k a second; memory ${result.malformedMiB >= 0 ? '+' : ''}${result.malformedMiB.toFixed(0)} MiB |`
}

function thousands(perSecond: number): string {
  return (perSecond / 1_000).toFixed(1)
}

/** Measured once, whatever is asked for. */
const once = new Set(['members', 'stuck'])
const sections: Section[] = []
const runs = {
  local,
  'local-times': localTimes,
  nats,
  'nats-times': natsTimes,
  kinesis,
  members,
  stuck,
  'kinesis-server': kinesisServer,
}
const unknown = [...parts].filter((name) => !Object.hasOwn(runs, name))
if (unknown.length > 0) throw new RangeError(`--only ${unknown.join(',')}: there are ${Object.keys(runs).join(', ')}`)
if (!(rounds >= 1)) throw new RangeError(`--rounds ${values.rounds}: a number from 1 on`)
// Servers end with the process where it exits, not where a signal ends it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))
for (const [name, run] of Object.entries(runs)) {
  if (!parts.has(name)) continue
  sections.push({ text: await run(), rounds: once.has(name) ? 1 : rounds })
  // An hour of figures is not lost for what fails in the next one.
  if (out !== undefined) renew(out, sections)
}
process.stdout.write(report(sections))
