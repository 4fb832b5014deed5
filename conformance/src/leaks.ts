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

/** Whose a socket is can only be told by its ends. Node has no public way to them. */
function sockets(): string {
  const { _getActiveHandles: handles } = process as { readonly _getActiveHandles?: () => readonly unknown[] }
  const all = handles?.().filter((handle) => handle instanceof Socket) ?? []
  const ends = all.map(({ localPort, remotePort, destroyed, connecting }) => {
    const state = destroyed ? ', destroyed' : connecting ? ', connecting' : ''
    return `${localPort ?? '?'} to ${remotePort ?? '?'}${state}`
  })
  return `all sockets: ${ends.join('; ')}`
}
