import {
  type Attributes,
  type Context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { GatewayError } from '../errors.ts'
import type { Traceparent } from '../http/trace-context.ts'
import type { Exchange, UpstreamFacts } from './exchange.ts'
import { methodLabel } from './labels.ts'

/** What is known of a request when its head has arrived. */
export interface TracedRequest {
  readonly method: string
  readonly requestTarget: string
  readonly isTls: boolean
}

/** Part of the way that a request takes through the gateway. */
export type StepName = 'session' | 'rules' | 'write-back'

export interface TraceStep {
  end(facts?: Attributes): void
  /** It came to nothing. Of errors that are not ours nothing is told but that it was one. */
  fail(error: unknown): void
}

/**
 * The spans of one request: the server's, with one for each step, and a client's for what goes up. Names are those of
 * OpenTelemetry's stable conventions where there is one, else ours with `sessiongate.` before them. They hold what the
 * access log holds, less the session's public id: no query, no cookie, no value of a session.
 */
export class RequestTrace {
  readonly traceId: string
  readonly #tracer: Tracer
  readonly #server: Span
  /** What the spans of the steps are children of. */
  readonly #within: Context
  #upstream: Span | undefined

  /** @param from The caller's span, or none. */
  constructor(tracer: Tracer, { method, requestTarget, isTls }: TracedRequest, from: Context) {
    this.#tracer = tracer
    // Whoever records a share of them decides by these.
    const attributes: Attributes = {
      'http.request.method': methodLabel(method),
      'url.scheme': isTls ? 'https' : 'http',
    }
    if (requestTarget.startsWith('/')) attributes['url.path'] = requestTarget.replace(/[?#].*$/s, '')
    this.#server = tracer.startSpan(spanName(method), { kind: SpanKind.SERVER, attributes }, from)
    this.#within = trace.setSpan(from, this.#server)
    this.traceId = this.#server.spanContext().traceId
  }

  step(name: StepName): TraceStep {
    const span = this.#tracer.startSpan(name, {}, this.#within)
    return {
      end(facts = {}) {
        span.setAttributes(facts)
        span.end()
      },
      fail(error) {
        fault(span, error instanceof GatewayError ? error.code : 'ERR_INTERNAL')
        span.end()
      },
    }
  }

  /** The request is about to go up: what it tells the app, whose spans are below this one. */
  ascend(method: string): Traceparent {
    this.#upstream = this.#tracer.startSpan(spanName(method), { kind: SpanKind.CLIENT }, this.#within)
    const { traceId, spanId: parentId, traceFlags } = this.#upstream.spanContext()
    const text = `00-${traceId}-${parentId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`
    return { traceId, parentId, isSampled: (traceFlags & 1) === 1, text }
  }

  /** @param wentUp What was prepared for an app, and refused by us in the last moment, was no request to it. */
  end(exchange: Exchange, wentUp: boolean): void {
    if (wentUp) this.#endUpstream(exchange)
    const { method, routeId, status, error, outcome } = exchange
    const span = this.#server
    span.updateName(spanName(method, routeId))
    span.setAttributes(serverFacts(exchange))
    const isFailure = status === undefined ? error !== undefined : status >= 500
    const type = error?.code ?? (isFailure ? String(status ?? outcome) : undefined)
    if (type !== undefined) span.setAttribute('error.type', type)
    if (isFailure) span.setStatus({ code: SpanStatusCode.ERROR })
    span.end()
  }

  #endUpstream({ method, upstream, error }: Exchange): void {
    const span = this.#upstream
    if (span === undefined) return
    span.setAttribute('http.request.method', methodLabel(method))
    if (upstream === undefined) {
      fault(span, error?.code ?? 'cancelled')
    } else {
      span.updateName(spanName(method, upstream.name))
      span.setAttributes(upstreamFacts(upstream))
      const last = upstream.attempts.at(-1)
      if (last?.error !== undefined) fault(span, last.error)
      else if (last?.status !== undefined && last.status >= 400) fault(span, String(last.status))
    }
    span.end()
  }
}

function serverFacts(exchange: Exchange): Attributes {
  const { host, path, scheme, routeId, status, session, decision, writeback, upstream } = exchange
  return {
    'http.request.method': methodLabel(exchange.method),
    'url.scheme': scheme,
    'url.path': path,
    'http.route': routeId,
    'http.response.status_code': status,
    'server.address': host,
    'client.address': exchange.clientAddress || undefined,
    'network.peer.address': exchange.peerAddress || undefined,
    'user_agent.original': exchange.userAgent,
    'sessiongate.request.id': exchange.requestId,
    'sessiongate.outcome': exchange.outcome,
    'sessiongate.session.state': session?.result,
    'sessiongate.auth.decision': decision?.outcome,
    'sessiongate.auth.reason': decision?.reason,
    'sessiongate.upstream': upstream?.name,
    'sessiongate.writeback.result': writeback,
  }
}

function upstreamFacts({ name, attempts }: UpstreamFacts): Attributes {
  const last = attempts.at(-1)
  const [, host, port] = /^(.*):(\d+)$/.exec(last?.address ?? '') ?? []
  return {
    'server.address': host ?? last?.address,
    'server.port': port === undefined ? undefined : Number(port),
    'http.response.status_code': last?.status,
    'http.request.resend_count': attempts.length > 1 ? attempts.length - 1 : undefined,
    'sessiongate.upstream': name,
  }
}

function fault(span: Span, type: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

/** Of few values: the path is not in it, and a method that somebody made up neither. */
function spanName(method: string, of?: string): string {
  const label = methodLabel(method)
  const name = label === '_OTHER' ? 'HTTP' : label
  return of === undefined ? name : `${name} ${of}`
}
