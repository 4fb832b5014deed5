import type { NatsConnection } from '@nats-io/transport-node'

/** What of the client's transport is looked at: version 3.4.0, which the package pins. */
interface Transport {
  readonly socket?: { readonly writableEnded: boolean }
}

type Send = (this: Transport, frame: Uint8Array) => Promise<void>

const guarded = Symbol.for('sluice/nats-write-guard')

/**
 * Keeps the client from writing to a socket that it has ended. When a server goes away in good order and something is sent in
 * that very moment, the socket's error comes after the client took its listeners away, and ends the process. What is not
 * written is as lost as it would be in the connection that breaks: those who wait for answers are told of the break.
 */
export function guardWrites(client: NatsConnection): void {
  const { protocol } = client as unknown as { readonly protocol?: { readonly transport?: object } }
  const prototype: unknown = protocol?.transport === undefined ? undefined : Object.getPrototypeOf(protocol.transport)
  if (!hasSend(prototype) || guarded in prototype._send) return
  const send = prototype._send
  const guardedSend: Send = function (frame) {
    return this.socket?.writableEnded === true ? Promise.resolve() : send.call(this, frame)
  }
  prototype._send = Object.assign(guardedSend, { [guarded]: true })
}

function hasSend(prototype: unknown): prototype is { _send: Send } {
  return typeof prototype === 'object' && prototype !== null && '_send' in prototype
}
