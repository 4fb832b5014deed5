import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

let keepers: AsyncLocalStorage<SocketKeeper> | undefined

/** Node tells of each socket within the call that makes it, so whose it is can be told. */
function listening(): AsyncLocalStorage<SocketKeeper> {
  if (keepers !== undefined) return keepers
  const made = new AsyncLocalStorage<SocketKeeper>()
  subscribe('net.client.socket', (message) => {
    const { socket } = message as { readonly socket: Socket }
    made.getStore()?.keep(socket)
  })
  keepers = made
  return made
}

/**
 * Knows the socket of one client. The client (3.4.0, which the package pins) does not let go of one whose server accepts
 * and then says nothing: it would be open for ever, and with it the process. A client has one socket at a time, so
 * whatever was before the newest is closed, and once the keeper is closed, whatever comes.
 */
export class SocketKeeper {
  #socket: Socket | undefined
  #closed = false

  /** Runs what makes sockets, now and later: also when the client connects again. */
  watch<T>(work: () => T): T {
    return listening().run(this, work)
  }

  /** The newest socket. */
  keep(socket: Socket): void {
    this.#socket?.destroy()
    this.#socket = socket
    // A client that was given up goes on to its next server. Not at once: it is about to connect the socket.
    if (this.#closed) process.nextTick(() => socket.destroy())
  }

  /** Closes the socket, if it is open still, and all that follow. */
  close(): void {
    this.#closed = true
    this.#socket?.destroy()
    this.#socket = undefined
  }
}
