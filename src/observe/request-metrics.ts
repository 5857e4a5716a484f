import type { Registry } from 'prom-client'
import { fineSeconds, httpSeconds } from './buckets.ts'
import { type Exchange, localReasonOf, overheadMs } from './exchange.ts'
import { methodLabel, NO_ROUTE, statusClassLabel, statusLabel } from './labels.ts'
import { createCounter, createGauge, createHistogram } from './series.ts'

/** The front side: what browsers asked and what they got. */
export interface RequestMetrics {
  /** A request's route is known; `record` takes it out of the gauge again. */
  enter(routeId: string): void
  record(exchange: Exchange): void
}

export function createRequestMetrics(registry: Registry): RequestMetrics {
  const metrics = createAll(registry)
  return {
    enter: (route) => metrics.inFlight.at(route).add(),
    record(exchange) {
      const { status, requestBodyBytes, responseBodyBytes } = exchange
      const route = exchange.routeId ?? NO_ROUTE
      const method = methodLabel(exchange.method)
      if (exchange.routeId !== undefined) metrics.inFlight.at(route).add(-1)
      metrics.requests.at(route, method, statusLabel(status)).add()
      metrics.duration.at(route, method, statusClassLabel(status)).observe(exchange.durationMs / 1000)
      metrics.overhead.at(route).observe(overheadMs(exchange) / 1000)
      if (requestBodyBytes > 0) metrics.requestBytes.at(route).add(requestBodyBytes)
      if (responseBodyBytes > 0) metrics.responseBytes.at(route).add(responseBodyBytes)
      const reason = localReasonOf(exchange)
      if (reason !== undefined) metrics.localResponses.at(route, reason).add()
    },
  }
}

function createAll(registry: Registry) {
  return {
    requests: createCounter(registry, {
      name: 'sessiongate_http_requests_total',
      help: 'Requests that ended, by route, method and the status sent to the browser.',
      labelNames: ['route', 'method', 'code'],
    }),
    duration: createHistogram(registry, {
      name: 'sessiongate_http_request_duration_seconds',
      help: 'From the request head to the last byte of the answer.',
      labelNames: ['route', 'method', 'code_class'],
      buckets: httpSeconds,
    }),
    inFlight: createGauge(registry, {
      name: 'sessiongate_http_requests_in_flight',
      help: 'Requests whose route is known and which have not ended.',
      labelNames: ['route'],
    }),
    requestBytes: createCounter(registry, {
      name: 'sessiongate_http_request_bytes_total',
      help: 'Bytes of request bodies.',
      labelNames: ['route'],
    }),
    responseBytes: createCounter(registry, {
      name: 'sessiongate_http_response_bytes_total',
      help: 'Bytes of response bodies.',
      labelNames: ['route'],
    }),
    overhead: createHistogram(registry, {
      name: 'sessiongate_gateway_overhead_seconds',
      help: "The gateway's own share: the whole time less the upstream's and the browser's.",
      labelNames: ['route'],
      buckets: fineSeconds,
    }),
    localResponses: createCounter(registry, {
      name: 'sessiongate_local_responses_total',
      help: 'Answers of the gateway itself, by reason (RFC 9209 tokens and its own).',
      labelNames: ['route', 'reason'],
    }),
  }
}
