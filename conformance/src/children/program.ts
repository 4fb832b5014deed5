import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { connect, defineFunction } from '@sluice/core'
import type { Cloud } from '@sluice/core'
import { json } from '../codecs.ts'
import type { FunctionInstruction, Instruction, Line, ReadInstruction, SendInstruction } from './protocol.ts'

/** The program of a child process: does what it is told until it is stopped, killed, or alone. */
async function main(instruction: Instruction): Promise<void> {
  const stop = new AbortController()
  createInterface({ input: process.stdin })
    .on('close', () => stop.abort())
    .on('line', () => stop.abort())
  const cloud = await connect(instruction.address, { create: true })
  tell({ kind: 'ready' })
  if (instruction.role === 'send') await send(cloud, instruction, stop.signal)
  else if (instruction.role === 'read') await read(cloud, instruction, stop.signal)
  else await apply(cloud, instruction, stop.signal)
  await cloud.close()
  process.exit(0)
}

async function send(cloud: Cloud, instruction: SendInstruction, signal: AbortSignal): Promise<void> {
  const topic = cloud.topic(instruction.topic, { codec: json<number>() })
  const journal = openJournal(instruction.journal)
  let next = instruction.first
  const lane = async (): Promise<void> => {
    while (!signal.aborted) {
      const value = next++
      const key = `k${value % instruction.keys}`
      const receipt = await topic.send({ value, key })
      journal.write(`${value} ${key} ${receipt.id}\n`)
      tell({ kind: 'sent', value, key, id: receipt.id })
    }
  }
  await Promise.all(Array.from({ length: instruction.window ?? 8 }, lane))
  journal.close()
}

async function read(cloud: Cloud, instruction: ReadInstruction, signal: AbortSignal): Promise<void> {
  const { group, member, handlerMs = 0, holdFrom = Infinity } = instruction
  const topic = cloud.topic(instruction.topic, { codec: json<number>() })
  const journal = openJournal(instruction.journal)
  const consumer = topic.consumer({ group, member, commitIntervalMs: 10, revokeTimeoutMs: 1_000 })
  await consumer.run(
    async ({ value, key, id, partition, attempt }) => {
      journal.write(`${value} ${key ?? '-'} ${id}\n`)
      tell({ kind: 'handled', value, key, id, partition, attempt })
      if (value >= holdFrom) await new Promise(() => undefined)
      if (handlerMs > 0) await new Promise((resolve) => setTimeout(resolve, handlerMs))
    },
    { signal },
  )
  journal.close()
}

async function apply(cloud: Cloud, instruction: FunctionInstruction, signal: AbortSignal): Promise<void> {
  const double = defineFunction<unknown, unknown>({
    name: 'double',
    handle: ({ value, key, id }) => {
      tell({ kind: 'handled', value: Number(value), key, id, partition: '', attempt: 1 })
      return { value, ...(key === undefined ? {} : { key }) }
    },
  })
  const { topic: from, to, group, member } = instruction
  const worker = cloud.worker(double, { from, to, group, member, delivery: 'exactly-once', commitIntervalMs: 10 })
  await worker.run({ signal })
}

/** Written with a plain system call, so that nothing told is lost with the process. */
function tell(line: Line): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

interface Journal {
  write(line: string): void
  close(): void
}

/** A file that survives the process and the machine: every line is on the disk when `write` returns. */
function openJournal(path: string | undefined): Journal {
  if (path === undefined) return { write: () => undefined, close: () => undefined }
  const file = openSync(path, 'a')
  return {
    write: (line) => {
      writeSync(file, line)
      fdatasyncSync(file)
    },
    close: () => closeSync(file),
  }
}

await main(JSON.parse(process.argv[2] ?? '{}') as Instruction)
