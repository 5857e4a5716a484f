import {
  type Context,
  createTraceState,
  isSpanContextValid,
  ROOT_CONTEXT,
  type TracerProvider,
  trace,
} from '@opentelemetry/api'
import { headerValues, type RawHeaders } from '../http/headers.ts'
import { receivedTraceparent } from '../http/trace-context.ts'
import { RequestTrace, type TracedRequest } from './request-trace.ts'

/** Makes spans, by the SDK that the operator has loaded. */
export interface Tracing {
  begin(request: TracedRequest & { readonly raw: RawHeaders }): RequestTrace
  /** Has what is recorded handed over; resolves when it is, or after that time. */
  flush(withinMs: number): Promise<void>
}

/** Where every copy of the API, of whichever 1.x, keeps what was registered. */
const REGISTRY = Symbol.for('opentelemetry.js.api.1')

/**
 * Undefined where no SDK is loaded: then nothing is done for spans, with any request.
 *
 * The registry is read, and not our copy of the API asked for it: that one answers "none" where the operator's copy, which
 * came with his SDK, is a little older.
 *
 * @param version Of the gateway.
 */
export function findTracing(version: string): Tracing | undefined {
  const provider = registeredProvider()
  const tracer = provider?.getTracer('sessiongate', version)
  // Whatever records gives spans of its own, also those that it leaves out; what only pretends to has none.
  if (tracer === undefined || !isSpanContextValid(tracer.startSpan('start', { root: true }).spanContext()))
    return undefined
  return {
    begin: (request) => new RequestTrace(tracer, request, callerOf(request.raw)),
    flush: (withinMs) => flush(provider, withinMs),
  }
}

/** The caller's span, as its one well-formed line tells of it. */
function callerOf(raw: RawHeaders): Context {
  const received = receivedTraceparent(raw)
  if (received === undefined) return ROOT_CONTEXT
  const { traceId, parentId: spanId, isSampled } = received
  const states = headerValues(raw, 'tracestate')
  return trace.setSpanContext(ROOT_CONTEXT, {
    ...{ traceId, spanId, traceFlags: isSampled ? 1 : 0, isRemote: true },
    ...(states.length === 0 ? {} : { traceState: createTraceState(states.join(',')) }),
  })
}

function registeredProvider(): TracerProvider | undefined {
  const registry: unknown = Reflect.get(globalThis, REGISTRY)
  const provider = isObject(registry) ? registry.trace : undefined
  return isProvider(provider) ? provider : undefined
}

async function flush(provider: unknown, withinMs: number): Promise<void> {
  const delegate = isObject(provider) && isFunction(provider.getDelegate) ? provider.getDelegate() : provider
  if (!isObject(delegate) || !isFunction(delegate.forceFlush)) return
  const { promise: isLate, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, withinMs)
  // What an exporter has to complain of it tells by its own means.
  await Promise.race([Promise.resolve(delegate.forceFlush()).catch(() => undefined), isLate])
  clearTimeout(timer)
}

function isProvider(value: unknown): value is TracerProvider {
  return isObject(value) && isFunction(value.getTracer)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isFunction(value: unknown): value is (this: unknown) => unknown {
  return typeof value === 'function'
}
