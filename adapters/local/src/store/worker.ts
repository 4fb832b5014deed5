import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { toWire } from '../errors.ts'
import { Engine } from './engine.ts'
import { thisHost } from './owners.ts'
import type { FromStore, ToStore } from './protocol.ts'
import { openStore } from './schema.ts'
import type { StoreOptions } from './schema.ts'

/** Messages taken at once: what shares one transaction. */
const maxRound = 256

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
    while (messages.length < maxRound) {
      const next = receiveMessageOnPort(port)
      if (next === undefined) break
      messages.push(next.message as ToStore)
    }
    engine.handle(messages)
    if (!messages.some((message) => message.kind === 'close')) return
    engine.close()
    port.close()
  })
  post({ kind: 'ready' })
}

if (parentPort !== null) serve(parentPort, workerData as StoreOptions)
