import type { ChildProcess } from 'node:child_process'

/** A connection as `node:cluster` hands it on: not a socket yet, only what the system has opened. */
interface Connection {
  close(): void
}

/** How soon after a worker's end it is looked whether all that it said has been read. */
const LOOK_MS = 2

/** The part of a worker's process that connections pass through. */
export type Channel = Pick<ChildProcess, 'on' | 'once' | 'emit' | 'send' | 'connected'>

/**
 * Hands a connection that a worker had not taken when it died to another. `node:cluster` forgets it: nobody would ever
 * read from it or close it, and its client would wait for as long as it likes (seen with Node 26.10). A worker says that
 * it has taken a connection before it reads from it, so of one of which it has not, nobody has seen a byte.
 *
 * This reads what cluster's own processes say to each other. Should they say it otherwise one day, nothing is handed on,
 * which is what happens without this; the test of row 36 would tell.
 */
export function returnUntaken(child: Channel, { hasOthers }: { readonly hasOthers: () => boolean }): void {
  const handed = new Map<number, Connection>()
  const send = child.send.bind(child) as (...args: unknown[]) => boolean
  const sendAndNote = (...args: readonly unknown[]): boolean => {
    const [message, connection] = args
    if (isClusterMessage(message) && message.act === 'newconn' && message.seq !== undefined && isConnection(connection))
      handed.set(message.seq, connection)
    return send(...args)
  }
  Object.assign(child, { send: sendAndNote })
  child.on('internalMessage', (message: unknown) => {
    if (isClusterMessage(message) && message.ack !== undefined) handed.delete(message.ack)
  })
  let isDisconnected = false
  // While it has not taken a connection, Node waits for that, and does not say that the worker is gone.
  const sayIt = (): void => {
    if (child.connected) setTimeout(sayIt, LOOK_MS)
    else if (!isDisconnected) child.emit('disconnect')
  }
  child.once('exit', sayIt)
  // All that it said has been read by then.
  child.once('disconnect', () => {
    isDisconnected = true
    for (const [seq, connection] of [...handed]) {
      // As if the worker had refused it, which it does at its polite end.
      if (hasOthers()) child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack: seq, accepted: false })
      else connection.close()
    }
    handed.clear()
  })
}

interface ClusterMessage {
  readonly act?: string
  readonly seq?: number
  readonly ack?: number
}

function isClusterMessage(message: unknown): message is ClusterMessage {
  return typeof message === 'object' && message !== null && 'cmd' in message && message.cmd === 'NODE_CLUSTER'
}

function isConnection(value: unknown): value is Connection {
  return typeof value === 'object' && value !== null && 'close' in value && typeof value.close === 'function'
}
