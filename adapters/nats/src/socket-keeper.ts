import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

const keepers = new AsyncLocalStorage<SocketKeeper>()

// Published within the call that makes a socket, so whose it is can be told.
subscribe('net.client.socket', (message) => {
  const { socket } = message as { readonly socket: Socket }
  keepers.getStore()?.keep(socket)
})

/**
 * Knows the socket of one client, which does not let go of one whose server accepts and then says nothing: it would be
 * open for ever, and with it the process. A client has one at a time, so whatever was before the newest is closed.
 */
export class SocketKeeper {
  #socket: Socket | undefined

  /** Runs what makes sockets, now and later: also when the client connects again. */
  watch<T>(work: () => T): T {
    return keepers.run(this, work)
  }

  /** @internal */
  keep(socket: Socket): void {
    this.#socket?.destroy()
    this.#socket = socket
  }

  /** Closes the socket, if it is open still. */
  close(): void {
    this.#socket?.destroy()
    this.#socket = undefined
  }
}
