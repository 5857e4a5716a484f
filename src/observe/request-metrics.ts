import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { fineSeconds, httpSeconds } from './buckets.ts'
import { type Exchange, localReasonOf, overheadMs } from './exchange.ts'
import { methodLabel, NO_ROUTE, statusClassLabel, statusLabel } from './labels.ts'

/** The front side: what browsers asked and what they got. */
export interface RequestMetrics {
  /** A request's route is known; `record` takes it out of the gauge again. */
  enter(routeId: string): void
  record(exchange: Exchange): void
}

export function createRequestMetrics(registry: Registry): RequestMetrics {
  const metrics = createAll([registry])
  return {
    enter: (route) => metrics.inFlight.inc({ route }),
    record(exchange) {
      const route = exchange.routeId ?? NO_ROUTE
      const method = methodLabel(exchange.method)
      if (exchange.routeId !== undefined) metrics.inFlight.dec({ route })
      metrics.requests.inc({ route, method, code: statusLabel(exchange.status) })
      const codeClass = statusClassLabel(exchange.status)
      metrics.duration.observe({ route, method, code_class: codeClass }, exchange.durationMs / 1000)
      metrics.overhead.observe({ route }, overheadMs(exchange) / 1000)
      if (exchange.requestBodyBytes > 0) metrics.requestBytes.inc({ route }, exchange.requestBodyBytes)
      if (exchange.responseBodyBytes > 0) metrics.responseBytes.inc({ route }, exchange.responseBodyBytes)
      const reason = localReasonOf(exchange)
      if (reason !== undefined) metrics.localResponses.inc({ route, reason })
    },
  }
}

function createAll(registers: Registry[]) {
  return {
    requests: new Counter({
      name: 'sessiongate_http_requests_total',
      help: 'Requests that ended, by route, method and the status sent to the browser.',
      labelNames: ['route', 'method', 'code'],
      registers,
    }),
    duration: new Histogram({
      name: 'sessiongate_http_request_duration_seconds',
      help: 'From the request head to the last byte of the answer.',
      labelNames: ['route', 'method', 'code_class'],
      buckets: httpSeconds,
      registers,
    }),
    inFlight: new Gauge({
      name: 'sessiongate_http_requests_in_flight',
      help: 'Requests whose route is known and which have not ended.',
      labelNames: ['route'],
      registers,
    }),
    requestBytes: new Counter({
      name: 'sessiongate_http_request_bytes_total',
      help: 'Bytes of request bodies.',
      labelNames: ['route'],
      registers,
    }),
    responseBytes: new Counter({
      name: 'sessiongate_http_response_bytes_total',
      help: 'Bytes of response bodies.',
      labelNames: ['route'],
      registers,
    }),
    overhead: new Histogram({
      name: 'sessiongate_gateway_overhead_seconds',
      help: "The gateway's own share: the whole time less the upstream's and the browser's.",
      labelNames: ['route'],
      buckets: fineSeconds,
      registers,
    }),
    localResponses: new Counter({
      name: 'sessiongate_local_responses_total',
      help: 'Answers of the gateway itself, by reason (RFC 9209 tokens and its own).',
      labelNames: ['route', 'reason'],
      registers,
    }),
  }
}
