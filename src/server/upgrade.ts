import type { ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { GatewayError } from '../errors.ts'
import { withoutSetCookie } from '../http/cookies.ts'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import { withoutHopByHop } from '../http/hop-by-hop.ts'
import { isSameOrigin } from '../http/same-site.ts'
import { readHandshake } from '../proxy/handshake.ts'
import type { TunnelEnd } from '../proxy/tunnel.ts'
import { openTunnel, type TunnelAnswer } from '../proxy/websocket.ts'
import type { SessionNotice } from '../sessions/watched-notices.ts'
import { withoutCommands } from '../writeback/cut.ts'
import type { Admitted, ForwardAdmission, Readmission } from './admission.ts'
import type { Answer } from './answer.ts'
import { noteUpstreamAnswer, noteUpstreamFailure } from './forwarding.ts'
import type { Pipeline } from './pipeline.ts'
import type { Route } from './route.ts'
import type { GuardedTunnel, Tunnels } from './tunnels.ts'
import type { Visit } from './visit.ts'

type Opened = Extract<TunnelAnswer, { kind: 'open' }>

/** How long an app may take to answer a WebSocket handshake. */
const HANDSHAKE_MS = 10_000

/** What an upgrade needs of the house. */
export interface UpgradeParts {
  readonly pipeline: Pipeline
  readonly tunnels: Tunnels
  readonly cookieName: string
  /** What the route that would take the handshake now says to it; by the configuration in force. */
  readonly readmit: (admitted: Admitted) => Promise<Readmission>
  /** Calls back when the session of that cookie changes, or may have; returns the way to stop. */
  readonly watchSession: (cookieValue: string | undefined, onNotice: (notice: SessionNotice) => void) => () => void
  /** No socket is opened any more. */
  readonly isDraining: () => boolean
  readonly onOpen: (routeId: string) => void
  readonly onEnd: (routeId: string, reason: TunnelEnd) => void
}

/** The connection of a handshake, which `node:http` has let go of. */
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
export class Upgrade {
  readonly #parts: UpgradeParts

  constructor(parts: UpgradeParts) {
    this.#parts = parts
  }

  async upgrade(visit: Visit, connection: UpgradeConnection): Promise<Answer | undefined> {
    const admission = await this.#parts.pipeline.admit(visit)
    if (admission.kind === 'local') return await admission.endpoint.run()
    if (admission.kind === 'answer') return admission.answer
    if (this.#parts.isDraining()) throw new GatewayError('ERR_SHUTTING_DOWN', 'no WebSocket is opened at the end')
    readHandshake({ method: visit.method, httpVersion: visit.httpVersion, headers: visit.raw })
    admitOrigin(visit, admission)
    const opened = await this.#handshake(visit, admission, connection)
    if (opened.kind === 'answer') return await this.#parts.pipeline.descend(visit, admission.route, opened.answer)
    this.#start(visit, admission, { opened, connection })
    return undefined
  }

  async #handshake(visit: Visit, admission: ForwardAdmission, connection: UpgradeConnection): Promise<TunnelAnswer> {
    const { route } = admission
    visit.upstreamStartedMs = performance.now()
    try {
      const opened = await openTunnel({
        upstream: route.upstream,
        target: admission.target,
        headers: admission.headers,
        client: connection.socket,
        head: connection.head,
        affinity: visit.session?.foundKey,
        recorder: visit,
        signal: signalOf(visit),
        handshakeTimeoutMs: HANDSHAKE_MS,
        idleMs: route.websocket?.idleMs ?? 0,
      })
      const firstByteMs = performance.now() - visit.upstreamStartedMs
      const answer = opened.kind === 'answer' ? opened.answer : { status: 101, server: opened.server, firstByteMs }
      noteUpstreamAnswer(visit, route.upstream.name, answer)
      return opened
    } catch (error) {
      if (error instanceof GatewayError) noteUpstreamFailure(visit, route.upstream.name, error)
      throw error
    }
  }

  #start(visit: Visit, admission: ForwardAdmission, open: { opened: Opened; connection: UpgradeConnection }): void {
    const { headers, cut } = withoutCommands(open.opened.headers)
    if (cut > 0) visit.exchange.writeback = 'cut'
    visit.exchange.status = 101
    visit.exchange.outcome = 'upgraded'
    open.connection.response.detachSocket(open.connection.socket as never)
    const tunnel = open.opened.start(this.#switchHeaders(visit, admission.route, withoutHopByHop(headers)))
    const routeId = admission.route.id
    this.#parts.onOpen(routeId)
    void tunnel.closed.then(({ reason }) => this.#parts.onEnd(routeId, reason))
    this.#parts.tunnels.add({
      tunnel,
      readmit: this.#readmission(visit, admission),
      watch: this.#watching(visit),
    })
  }

  /** An hour later nothing else of the handshake is needed any more, and what is not held here takes no memory. */
  #readmission({ cookie, method }: Visit, { place, subject }: ForwardAdmission): () => Promise<Readmission> {
    const asked = { method, host: place.host.name, target: place.target }
    const admitted = { asked, subject, cookieValue: cookie?.value }
    const { readmit } = this.#parts
    return () => readmit(admitted)
  }

  #watching({ cookie }: Visit): GuardedTunnel['watch'] {
    const cookieValue = cookie?.value
    const { watchSession } = this.#parts
    return (onNotice) => watchSession(cookieValue, onNotice)
  }

  /** One owner per name here too; nothing about sessions is applied by the head of a switch. */
  #switchHeaders(visit: Visit, route: Route, headers: RawHeaders): RawHeaders {
    if (route.sessionCookie === 'pass') return [...headers, ...route.responseLines]
    const stripped = withoutSetCookie(headers, this.#parts.cookieName)
    visit.exchange.cookiesCut += stripped.cut
    return [...stripped.headers, ...route.responseLines]
  }
}

/** Aborted when the browser leaves. A tunnel has several who have to hear of it. */
function signalOf(visit: Visit): AbortSignal {
  const gone = new AbortController()
  if (visit.isGone) gone.abort()
  else visit.watcher = { onGone: () => gone.abort() }
  return gone.signal
}

/**
 * A browser sends its cookies with a WebSocket handshake to anywhere, and no CORS stands in between: only the Origin
 * tells whose page it is. Absent means that no page is behind it.
 */
function admitOrigin(visit: Visit, { route, place }: ForwardAdmission): void {
  if (route.websocket === undefined) throw new GatewayError('ERR_FORBIDDEN', 'the route refuses WebSockets')
  const origins = headerValues(visit.raw, 'origin')
  if (origins.length === 0) return
  if (!isSameOrigin(origins, { own: place.origin, allowed: route.websocket.origins })) {
    throw new GatewayError('ERR_CROSS_SITE', 'a WebSocket was asked for by the page of another origin')
  }
}
