import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { GatewayError } from '../errors.ts'
import type { RawHeaders } from '../http/headers.ts'
import { acceptFor, isAcceptance, readKey } from './handshake.ts'
import { startTunnel, type Tunnel } from './tunnel.ts'
import type { AttemptRecorder, DepartureWatcher, Upstream, UpstreamAnswer } from './upstream.ts'

export interface TunnelRequest {
  readonly upstream: Pick<Upstream, 'name' | 'upgrade'>
  /** As in `UpstreamRequest`. */
  readonly target: string
  /** Finished lines, `Host` and the client's `Sec-WebSocket-…` among them, as `readHandshake` has checked them. */
  readonly headers: RawHeaders
  /** As in `UpstreamRequest`. */
  readonly affinity?: string | undefined
  /** As in `UpstreamRequest`. */
  readonly recorder?: AttemptRecorder
  /** The client's connection, not being read. It is not touched unless the tunnel is started. */
  readonly client: Duplex
  /** What was read of the client after its handshake; held back until the upstream has agreed. */
  readonly head: Buffer
  /** Aborted when the client is gone. Looked at until the tunnel is started, and while the body of an answer flows. */
  readonly signal: AbortSignal
  /** From the call to the head of the answer, connecting included. */
  readonly handshakeTimeoutMs: number
  /** The longest time in which no byte moves in either direction. */
  readonly idleMs: number
}

export type TunnelAnswer =
  /** The upstream did not agree: an answer like any other, to be sent through the same steps. */
  | { readonly kind: 'answer'; readonly answer: UpstreamAnswer }
  | {
      readonly kind: 'open'
      /** The lines of the verified 101. */
      readonly headers: RawHeaders
      readonly server: string
      /**
       * Writes the 101 to the client and starts moving bytes. `lines` are what the client shall get of the headers;
       * `Connection`, `Upgrade` and `Sec-WebSocket-Accept` are written in any case. To be called once, unless `signal` is
       * aborted.
       */
      start(lines: RawHeaders): Tunnel
    }

/**
 * Opens a WebSocket to an upstream (RFC 6455, section 4).
 *
 * No byte of the client goes up before the upstream has proved, by 101 with `Upgrade: websocket` and the
 * `Sec-WebSocket-Accept` of this very key, that it takes what follows for frames. Otherwise the client could write
 * requests of its own onto a connection to the app that no rule has seen.
 *
 * @throws {GatewayError} as `Upstream.upgrade`; `ERR_UPSTREAM_PROTOCOL` (`http_upgrade_failed`) for a 101 that proves
 * nothing, `ERR_UPSTREAM_TIMEOUT` (`http_response_timeout`) when the handshake takes too long.
 * @throws the signal's reason
 */
export async function openTunnel(request: TunnelRequest): Promise<TunnelAnswer> {
  const { upstream, target, headers, client, signal, handshakeTimeoutMs } = request
  const key = readKey(headers)
  if (key === undefined) throw new TypeError('the handshake has no key')

  const leaving = createLeaving(signal)
  const onGone = () => leaving.leave(new GatewayError('ERR_REQUEST_INVALID', 'the client went away'))
  const timer = setTimeout(() => leaving.leave(tooLate(upstream.name, handshakeTimeoutMs)), handshakeTimeoutMs)
  // The connection may fail while nobody else listens.
  client.on('error', () => {})
  client.once('close', onGone)
  try {
    if (client.destroyed) onGone()
    const answer = await upstream.upgrade({
      target,
      headers,
      client: leaving,
      affinity: request.affinity,
      ...(request.recorder === undefined ? {} : { recorder: request.recorder }),
    })
    if (answer.kind === 'answer') return answer
    if (!isAcceptance(answer.headers, key)) {
      answer.socket.destroy()
      throw notAccepted(upstream.name, answer.server)
    }
    return { ...answer, kind: 'open', start: holdOpen(request, answer.socket, acceptFor(key)) }
  } catch (error) {
    throw leaving.isGone ? leaving.reason : error
  } finally {
    clearTimeout(timer)
    client.off('close', onGone)
  }
}

/** The client as an upstream sees it: gone when it is, and also when it is not to be waited for any longer. */
function createLeaving(signal: AbortSignal) {
  const leaving = {
    isGone: false,
    reason: undefined as unknown,
    watcher: undefined as DepartureWatcher | undefined,
    leave(reason: unknown): void {
      if (leaving.isGone) return
      leaving.isGone = true
      leaving.reason = reason
      leaving.watcher?.onGone()
    },
  }
  if (signal.aborted) leaving.leave(signal.reason)
  else signal.addEventListener('abort', () => leaving.leave(signal.reason), { once: true })
  return leaving
}

/** The agreed connection waits, unread, for `start`; if the client goes first, it is closed. */
function holdOpen({ client, head, signal, idleMs }: TunnelRequest, socket: Socket, accept: string) {
  const letGo = () => void socket.destroy()
  signal.addEventListener('abort', letGo, { once: true })
  client.once('close', letGo)
  if (signal.aborted || client.destroyed) letGo()
  return (lines: RawHeaders): Tunnel => {
    signal.removeEventListener('abort', letGo)
    client.off('close', letGo)
    return startTunnel({ client, head, upstream: socket, lines: switchingLines(lines, accept), idleMs })
  }
}

const writtenHere: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'sec-websocket-accept',
  'transfer-encoding',
  'upgrade',
])
const unsafeInLine = /[^\t\x20-\x7e\x80-\xff]/

function switchingLines(lines: RawHeaders, accept: string): RawHeaders {
  const finished = ['Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Accept', accept]
  for (let i = 0; i < lines.length; i += 2) {
    const [name = '', value = ''] = lines.slice(i, i + 2)
    if (unsafeInLine.test(name + value)) throw new TypeError('a header of the 101 has a control character')
    if (!writtenHere.has(name.toLowerCase())) finished.push(name, value)
  }
  return finished
}

function tooLate(upstream: string, afterMs: number): GatewayError {
  return new GatewayError('ERR_UPSTREAM_TIMEOUT', `no answer to the handshake within ${afterMs} ms`, {
    facts: { upstream },
    proxyError: 'http_response_timeout',
  })
}

function notAccepted(upstream: string, server: string): GatewayError {
  return new GatewayError('ERR_UPSTREAM_PROTOCOL', 'the 101 does not open a WebSocket', {
    facts: { upstream, server },
    proxyError: 'http_upgrade_failed',
  })
}
