import { createServer } from 'node:net'
import { StreamError, systemErrorCode } from '@sluice/driver'

/**
 * Ports that no system gives out by itself (Linux begins at 32768, others at 49152): a server that is stopped and started
 * again finds its port free, whatever else is started meanwhile.
 */
const [lowest, highest] = [16_384, 32_767]
const attempts = 50

/** A port of 127.0.0.1 that was free a moment ago. Nobody keeps it: who wants it takes it soon. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1))
    const error = await tryPort(port)
    if (error === undefined) return port
    if (attempt === attempts) throw error
  }
}

/** Rejects with `conflict` when something listens on that port: it would be taken for the server. */
export async function checkFree(port: number): Promise<void> {
  const cause = await tryPort(port)
  if (cause !== undefined) throw notListening(port, cause)
}

/** Why a server could not listen. */
export function notListening(port: number, cause: unknown): StreamError {
  const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
  const code = taken ? 'conflict' : (systemErrorCode(cause) ?? 'unavailable')
  const why = taken ? 'something else listens there; choose another, or none for a free one' : (cause as Error).message
  return new StreamError(code, `cannot listen on port ${port} of 127.0.0.1: ${why}`, { cause })
}

function tryPort(port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', resolve)
    server.listen({ host: '127.0.0.1', port }, () => server.close(() => resolve(undefined)))
  })
}
