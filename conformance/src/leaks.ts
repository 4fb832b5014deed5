import { subscribe } from 'node:diagnostics_channel'
import { Socket } from 'node:net'

/** Kinds of handles that keep a process alive, with how many there are. Garbage of the runtime itself is left out. */
export type Handles = ReadonlyMap<string, number>

const ofTheRuntime = new Set([
  'TTYWrap',
  'PipeWrap',
  'FSReqCallback',
  'FSReqPromise',
  'CloseReq',
  'WORKER_PORT_TRANSFER',
])

/** Who opened a socket, and when, by the monotonic clock. */
const openers = new WeakMap<object, string>()

subscribe('net.client.socket', (message) => {
  const { socket } = message as { readonly socket: Socket }
  const { stack = '' } = new Error('opened')
  const callers = stack.split('\n').filter((line) => line.includes('at ') && !line.includes('node:'))
  openers.set(
    socket,
    `by ${callers
      .slice(1, 4)
      .map((line) => line.trim())
      .join(' ')}, at ${Math.round(performance.now())} ms`,
  )
})

/** What is open now. */
export function openHandles(): Handles {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo()) {
    if (!ofTheRuntime.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  }
  return counts
}

/**
 * What is open beyond `before`, after at most `graceMs`; empty when nothing is. Handles are counted by kind, so where
 * other code opens and closes some of the same kind meanwhile (a test framework's timers) one can hide one of ours;
 * the runner by itself, `runSuite`, has no such company.
 */
export async function leakedSince(before: Handles, graceMs = 1_500): Promise<readonly string[]> {
  const end = performance.now() + graceMs
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 2))
    const more = beyond(before, openHandles())
    if (more.length === 0) return more
    if (performance.now() > end)
      return more.some((kind) => kind.startsWith('TCPSocketWrap')) ? [...more, sockets()] : more
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function beyond(before: Handles, now: Handles): readonly string[] {
  return [...now].flatMap(([kind, count]) => {
    const extra = count - (before.get(kind) ?? 0)
    return extra > 0 ? [`${kind} x${extra}`] : []
  })
}

/** Node has no public way to them. */
function sockets(): string {
  const { _getActiveHandles: handles } = process as { readonly _getActiveHandles?: () => readonly unknown[] }
  const all = handles?.().filter((handle) => handle instanceof Socket) ?? []
  const ends = all.map((socket) => {
    const { localPort, remotePort, destroyed, connecting, readyState } = socket
    const state = destroyed ? 'destroyed' : connecting ? 'connecting' : readyState
    return `${localPort ?? '?'} to ${remotePort ?? '?'}, ${state}, opened ${openers.get(socket) ?? 'elsewhere'}`
  })
  return `all sockets, at ${Math.round(performance.now())} ms: ${ends.join('; ')}`
}
