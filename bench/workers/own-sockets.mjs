/** Every worker has a socket of its own on the same port (SO_REUSEPORT), and the system gives each new connection to one. */
import cluster from 'node:cluster'
import { Server } from 'node:net'

if (cluster.isWorker) {
  const { listen } = Server.prototype
  Server.prototype.listen = function listenOnOwn(options, ...rest) {
    return listen.call(this, { ...options, reusePort: true }, ...rest)
  }
}
