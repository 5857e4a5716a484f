import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { GatewayError } from '../errors.ts'
import { setCookieName } from '../http/cookies.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import { isSameOrigin } from '../http/same-site.ts'
import { readHandshake } from '../proxy/handshake.ts'
import type { TunnelEnd } from '../proxy/tunnel.ts'
import { openTunnel, type TunnelAnswer } from '../proxy/websocket.ts'
import { withoutCommands } from '../writeback/cut.ts'
import type { ForwardAdmission } from './admission.ts'
import type { Answer } from './answer.ts'
import type { Pipeline } from './pipeline.ts'
import type { Route } from './route.ts'
import type { Tunnels } from './tunnels.ts'
import type { Visit } from './visit.ts'

type Opened = Extract<TunnelAnswer, { kind: 'open' }>

/** How long an app may take to answer a WebSocket handshake. */
const HANDSHAKE_MS = 10_000

export interface UpgradeParts {
  readonly pipeline: Pipeline
  readonly tunnels: Tunnels
  readonly cookieName: string
  /** Calls back when this process changes the session of that visit; returns the way to stop. */
  readonly watchSession: (visit: Visit, onNotice: () => void) => () => void
  readonly onOpen: (routeId: string) => void
  readonly onEnd: (routeId: string, reason: TunnelEnd) => void
}

export interface UpgradeConnection {
  readonly socket: Duplex
  /** What the browser sent after its head; held back until the app has agreed. */
  readonly head: Buffer
  readonly response: ServerResponse
}

/**
 * The way of a WebSocket handshake: steps 1 to 5 as for any request, then our own check of both sides, then bytes. Gives
 * the answer to send when the socket does not open, and undefined once it is open.
 */
export function createUpgrade(
  parts: UpgradeParts,
): (visit: Visit, connection: UpgradeConnection) => Promise<Answer | undefined> {
  return async function upgrade(visit, connection) {
    const admission = await parts.pipeline.admit(visit)
    if (admission.kind === 'answer') return admission.answer
    readHandshake({ method: visit.method, httpVersion: visit.httpVersion, headers: visit.raw })
    admitOrigin(visit, admission.route)
    const opened = await openTunnel({
      upstream: admission.route.upstream,
      target: admission.target,
      headers: admission.headers,
      client: connection.socket,
      head: connection.head,
      signal: visit.gone,
      handshakeTimeoutMs: HANDSHAKE_MS,
      idleMs: admission.route.websocket?.idleMs ?? 0,
    })
    if (opened.kind === 'answer') return await parts.pipeline.descend(visit, admission.route, opened.answer)
    start(visit, admission, { opened, connection })
    return undefined
  }

  function start(
    visit: Visit,
    admission: ForwardAdmission,
    open: { opened: Opened; connection: UpgradeConnection },
  ): void {
    const { headers, cut } = withoutCommands(open.opened.headers)
    if (cut > 0) visit.exchange.writeback = 'cut'
    visit.exchange.status = 101
    visit.exchange.outcome = 'upgraded'
    open.connection.response.detachSocket(open.connection.socket as never)
    const tunnel = open.opened.start(withoutSessionCookie(headers, parts.cookieName))
    const routeId = admission.route.id
    parts.onOpen(routeId)
    void tunnel.closed.then(({ reason }) => parts.onEnd(routeId, reason))
    parts.tunnels.add({
      tunnel,
      isAdmitted: admission.isStillAdmitted,
      watch: (onNotice) => parts.watchSession(visit, onNotice),
    })
  }
}

/**
 * A browser sends its cookies with a WebSocket handshake to anywhere, and no CORS stands in between: only the Origin
 * tells whose page it is. Absent means that no page is behind it.
 */
function admitOrigin(visit: Visit, route: Route): void {
  if (route.websocket === undefined) throw new GatewayError('ERR_FORBIDDEN', 'the route refuses WebSockets')
  const origins = headerValues(visit.raw, 'origin')
  if (origins.length === 0 || visit.place === undefined) return
  if (!isSameOrigin(origins, { own: visit.place.origin, allowed: route.websocket.origins })) {
    throw new GatewayError('ERR_CROSS_SITE', 'a WebSocket was asked for by the page of another origin')
  }
}

/** The session cookie cannot be set by the head of an upgrade: nothing about sessions is applied there. */
function withoutSessionCookie(headers: RawHeaders, cookieName: string): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? ''
    const value = headers[i + 1] ?? ''
    if (name.toLowerCase() !== 'set-cookie' || setCookieName(value) !== cookieName) kept.push(name, value)
  }
  return kept
}
