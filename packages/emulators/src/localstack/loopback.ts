/** Module source, as an address for `--import`, that makes servers of a Node process listen on loopback, whatever they ask for. */
export const loopbackOnly: string = `data:text/javascript,${encodeURIComponent(`
import { Server } from 'node:net'
const { listen } = Server.prototype
Server.prototype.listen = function (options, ...rest) {
  return listen.call(this, typeof options === 'object' ? { ...options, host: '127.0.0.1' } : { port: options, host: '127.0.0.1' }, ...rest)
}`)}`
