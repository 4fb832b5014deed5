import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { benchLocal } from './local.ts'
import { table } from './measure.ts'
import { benchStuck } from './stuck.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    records: { type: 'string', default: '100000' },
    backlog: { type: 'string', default: '1000000' },
    out: { type: 'string', default: new URL('../results.md', import.meta.url).pathname },
  },
})
const rounds = Number(values.rounds)
const records = Number(values.records)

const local = await benchLocal(rounds, records)
const stuck = await benchStuck(Number(values.backlog))
const report = `# Results

Made by \`npm run bench\`: ${rounds} rounds of ${records} records after one to warm up, each in a fresh folder, the two ways in
turn in one process. Medians; the last column has the lowest and highest ratio of a pair. Node ${process.versions.node}, ${cpus().length} cores
(${cpus()[0]?.model ?? 'unknown'}).

## local, against \`node:sqlite\` by hand

By hand means: the same layout (one row for each batch of 1 000 records and partition), the same durability (WAL,
synchronous=FULL), ids, keys, JSON both ways, offsets stored after each batch; no groups, retries, receipts or checks.

${table(local)}

## A stuck handler before a backlog

${stuck.backlog} records of 16 keys in 4 partitions; the handler of one key's first record hangs until all others are through.

| | |
| --- | --- |
| records of other keys handled meanwhile | ${stuck.handledMeanwhile} of ${stuck.backlog - stuck.ofStuckKey}, in ${stuck.seconds.toFixed(1)} s |
| resident memory after a tenth, and at the end | ${stuck.rssMiBAtTenth} MiB, ${stuck.rssMiBAtEnd} MiB |
| times the key was parked | ${stuck.parked} |
| afterwards every record of the stuck key came, in order | ${stuck.recovered ? 'yes' : 'NO'} |
`
writeFileSync(values.out, report)
process.stdout.write(report)

if (!stuck.recovered) process.exitCode = 1
