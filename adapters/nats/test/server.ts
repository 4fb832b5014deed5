import { findNats, NatsServer } from '@sluice/emulators'
import type { NatsBinary, NotFound } from '@sluice/emulators'

/** A server that runs, and how to end it. */
export interface RunningServer {
  /** `nats://127.0.0.1:PORT`. */
  readonly url: string
  /** Where it was started by us, what it can be made to suffer. */
  readonly own: NatsServer | undefined
  stop(): Promise<void>
}

/** Where a server for tests comes from. */
export type ServerSource =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'binary'; readonly binary: NatsBinary }
  | { readonly kind: 'none'; readonly reason: string }

/**
 * Looks at `SLUICE_NATS_URL`, and for a nats-server as `findNats` does, of the version that `SLUICE_NATS_VERSION` asks for.
 * Where `SLUICE_REQUIRE` names nats, that there is none is an error.
 */
export async function findServer(): Promise<ServerSource> {
  const { SLUICE_NATS_URL: url } = environment()
  if (url !== undefined && url !== '') return { kind: 'url', url }
  const found = await findBinary()
  return 'tried' in found ? { kind: 'none', reason: found.tried.join('; ') } : { kind: 'binary', binary: found }
}

/** The binary alone, for tests that need a server of their own. */
export async function findBinary(): Promise<NatsBinary | NotFound> {
  const env = environment()
  const found = await findNats({ env })
  if ('tried' in found && env['SLUICE_REQUIRE']?.includes('nats') === true)
    throw new Error(`a nats-server is required here: ${found.tried.join('; ')}`)
  return found
}

/** The server that runs, or one of our own with those lines in its configuration. */
export async function obtainServer(
  source: Exclude<ServerSource, { kind: 'none' }>,
  config?: string,
): Promise<RunningServer> {
  if (source.kind === 'url') return { url: source.url, own: undefined, stop: () => Promise.resolve() }
  const own = await NatsServer.start(source.binary, config === undefined ? {} : { config })
  return { url: own.url, own, stop: () => own.close() }
}

/** Tests look at the environment; the adapter never does. */
function environment(): Readonly<Record<string, string | undefined>> {
  // oxlint-disable-next-line node/no-process-env -- where a server is found on this machine
  return process.env
}
