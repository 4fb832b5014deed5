import type { ClientSessionOptions } from 'node:http2'
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Has `http2.connect` give up an endpoint that is not reached, or does not answer TLS, within a time. */
export function dialler(timeoutMs: number): Pick<ClientSessionOptions, 'createConnection'> {
  return {
    createConnection: ({ protocol, hostname, port }) => {
      // IPv6 in a URL stands in brackets.
      const host = hostname.replace(/^\[(.*)\]$/, '$1')
      const secure = protocol === 'https:'
      const socket = secure ? dialTls(host, Number(port || 443)) : connectTcp({ host, port: Number(port || 80) })
      const onTimeout = (): void => void socket.destroy(notReached(hostname, timeoutMs))
      socket.setTimeout(timeoutMs, onTimeout)
      socket.once(secure ? 'secureConnect' : 'connect', () => {
        socket.setTimeout(0)
        socket.off('timeout', onTimeout)
      })
      return socket
    },
  }
}

function dialTls(host: string, port: number): Socket {
  return connectTls({ host, port, ALPNProtocols: ['h2'], ...(isIP(host) === 0 ? { servername: host } : {}) })
}

/** With the code that Node has for it. */
function notReached(host: string, timeoutMs: number): Error {
  const code = 'ERR_SOCKET_CONNECTION_TIMEOUT'
  return Object.assign(new Error(`${host} was not reached within ${timeoutMs} ms`), { code })
}
