import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { connect } from '@sluice/core'
import type { Cloud } from '@sluice/core'
import { openHarness } from '../open.ts'
import { RequestShim } from '../shim/shim.ts'
import { apply, consume } from './consume.ts'
import type { ChildEvent, Instruction } from './instruction.ts'
import { openMs, patiently } from './patiently.ts'
import { produce } from './produce.ts'

/**
 * The program of a child process. It waits for an instruction, so that it can be kept in reserve, and follows it until
 * it is told to stop, or killed. It ends at once when its parent is gone.
 */
async function main(): Promise<void> {
  const instruction = Promise.withResolvers<Instruction>()
  const stop = new AbortController()
  createInterface({ input: process.stdin })
    .on('line', (line) => (line === 'stop' ? stop.abort() : instruction.resolve(JSON.parse(line) as Instruction)))
    .on('close', () => process.exit(3))
  tell('idle')
  await follow(await instruction.promise, stop.signal)
  process.exit(0)
}

async function follow(instruction: Instruction, signal: AbortSignal): Promise<void> {
  const { address } = instruction
  // The shim does nothing but note what the member is told of its partitions.
  const harness = { name: 'crash', url: address, connectOptions: { random: Math.random } }
  const shim = new RequestShim(await patiently(openMs, () => openHarness(harness)))
  await using cloud = await connect(address, { create: false, driver: shim.driver })
  tell('ready')
  if (signal.aborted) return
  // Waited for here: the connection is closed where this function ends.
  await work(cloud, shim, instruction, signal)
}

function work(cloud: Cloud, shim: RequestShim, instruction: Instruction, signal: AbortSignal): Promise<void> {
  switch (instruction.role) {
    case 'produce':
      return produce(cloud, instruction, signal, () => tell('first-ack'))
    case 'consume':
      return consume(cloud, shim.events, instruction, signal)
    case 'apply':
      return apply(cloud, instruction, signal)
  }
}

function tell(event: ChildEvent): void {
  writeSync(1, `${event}\n`)
}

await main()
