import { type ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ProxyServer } from 'http-proxy-3'
import type { RawHeaders } from '../http/headers.ts'

/** What http-proxy-3 calls on a client's socket, beside what every Duplex has. */
export interface ClientEnd extends Duplex {
  setTimeout(delayMs: number): unknown
  setNoDelay(isOn: boolean): unknown
  setKeepAlive(isOn: boolean, initialDelayMs: number): unknown
  destroySoon(): void
}

export interface CarriedPair {
  readonly client: ClientEnd
  /** The upstream's connection after its 101 was verified. */
  readonly upstream: Socket
  /** The lines of the 101 for the client, finished. */
  readonly lines: RawHeaders
}

/**
 * Has http-proxy-3 answer the client with 101 and move the bytes of a WebSocket between two ends that were verified.
 *
 * Its own handshake is not used. It would parse the target anew, hand on `Connection`, wait without a deadline, let any
 * 101 pass and relay a refusal without back-pressure. So its request is given an agent that never connects: nothing of
 * it reaches the wire, and it is only the place where http-proxy-3 waits for the upgrade. That it is told of once the
 * handshake of ours has succeeded; everything from the 101 to the client on is then its work.
 */
export function carry({ client, upstream, lines }: CarriedPair): void {
  const proxy = new ProxyServer()
  // Both ends are watched by the tunnel; without a listener http-proxy-3 would throw what it reports.
  proxy.on('error', () => {})
  let waiting: ClientRequest | undefined
  proxy.once('proxyReqWs', (request) => {
    waiting = request
  })
  const request = new IncomingMessage(upstream)
  request.method = 'GET'
  request.url = '/'
  request.headers = { upgrade: 'websocket' }
  proxy.ws(request, client, Buffer.alloc(0), {
    target: { protocol: 'http:', host: 'upstream', port: 80 },
    agent: { addRequest() {} },
  })
  if (waiting === undefined) throw new TypeError('http-proxy-3 made no request')
  waiting.emit('upgrade', { headers: linesByName(lines) }, upstream, Buffer.alloc(0))
}

/** http-proxy-3 writes one line per value of a member; two spellings of a name are two members. */
function linesByName(lines: RawHeaders): Record<string, string[]> {
  const byName: Record<string, string[]> = Object.create(null)
  for (let i = 0; i < lines.length; i += 2) {
    const [name = '', value = ''] = lines.slice(i, i + 2)
    const values = byName[name]
    if (values === undefined) byName[name] = [value]
    else values.push(value)
  }
  return byName
}
