import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { toWire } from '../errors.ts'
import { Engine } from './engine.ts'
import { thisHost } from './owners.ts'
import type { FromStore, ToStore } from './protocol.ts'
import { openStore } from './schema.ts'
import type { StoreOptions } from './schema.ts'

/**
 * What is taken at once and shares one transaction, in messages and in bytes. Large batches gain nothing by sharing a
 * sync, and would have the main thread wait for all of them before it can encode the next.
 */
const maxRound = 256
const maxRoundBytes = 256 * 1024

/** The thread of one opened store: takes all that is waiting, has it done, answers. */
function serve(port: MessagePort, options: StoreOptions): void {
  const post = (message: FromStore, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer)
  let engine: Engine
  try {
    const machine = { wall: () => Date.now(), monotonic: () => performance.now() }
    engine = new Engine(openStore(options), thisHost(), machine, post)
  } catch (error) {
    post({ kind: 'failed', error: toWire(error) })
    return
  }
  port.on('message', (first: ToStore) => {
    const messages = [first]
    let bytes = sizeOf(first)
    while (messages.length < maxRound && bytes < maxRoundBytes) {
      const next: { readonly message: ToStore } | undefined = receiveMessageOnPort(port)
      if (next === undefined) break
      messages.push(next.message)
      bytes += sizeOf(next.message)
    }
    engine.handle(messages)
    if (!messages.some((message) => message.kind === 'close')) return
    engine.close()
    port.close()
  })
  post({ kind: 'ready' })
}

function sizeOf(message: ToStore): number {
  if (message.kind !== 'call' || message.call !== 'append') return 0
  return message.request.parts.reduce((sum, part) => sum + part.length, 0)
}

if (parentPort !== null) serve(parentPort, workerData as StoreOptions)
