import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { INVALID_SPAN_CONTEXT, type Span, type SpanOptions, trace } from '@opentelemetry/api'
import { findTracing } from '../../../src/observe/tracing.ts'

const REGISTRY = Symbol.for('opentelemetry.js.api.1')

/** What a span was told, of a tracer that records. */
interface Told {
  readonly name: string
  readonly parent: string | undefined
}

/** An SDK by its outside; `idOf` gives the ids of its spans. */
function registerSdk(told: Told[], isReal = true): void {
  let count = 0
  const startSpan = (name: string, _: SpanOptions, context?: Parameters<typeof trace.getSpanContext>[0]): Span => {
    count += 1
    const parent = context && trace.getSpanContext(context)
    told.push({ name, parent: parent?.spanId })
    const own = { traceId: parent?.traceId ?? 'a'.repeat(32), spanId: String(count).padStart(16, '0'), traceFlags: 1 }
    return trace.wrapSpanContext(isReal ? own : INVALID_SPAN_CONTEXT)
  }
  Reflect.set(globalThis, REGISTRY, { version: '1.0.0', trace: { getTracer: () => ({ startSpan }) } })
}

const request = { method: 'GET', requestTarget: '/a?b', isTls: false }

describe('spans', () => {
  afterEach(() => void Reflect.deleteProperty(globalThis, REGISTRY))

  test('are not made where nothing is registered, or what is makes none', () => {
    assert.equal(findTracing('1'), undefined)
    for (const nothing of [null, 7, {}, { trace: {} }, { trace: { getTracer: () => undefined } }]) {
      Reflect.set(globalThis, REGISTRY, nothing)
      assert.equal(findTracing('1'), undefined, JSON.stringify(nothing))
    }
    registerSdk([], false)
    assert.equal(findTracing('1'), undefined)
  })

  test('are below the caller’s, if one line tells of it', () => {
    const cases: [why: string, lines: readonly string[], parent: string | undefined][] = [
      ['none', [], undefined],
      ['one', ['traceparent', `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`], 'd'.repeat(16)],
      [
        'one with a state',
        ['Traceparent', `00-${'c'.repeat(32)}-${'d'.repeat(16)}-00`, 'tracestate', 'a=b'],
        'd'.repeat(16),
      ],
      ['two', ['traceparent', `00-${'c'.repeat(32)}-${'d'.repeat(16)}-01`, 'traceparent', 'x'], undefined],
      ['rubbish', ['traceparent', `00-${'0'.repeat(32)}-${'d'.repeat(16)}-01`, 'tracestate', '=,=;\u00ff'], undefined],
    ]
    for (const [why, raw, parent] of cases) {
      const told: Told[] = []
      registerSdk(told)
      const spans = findTracing('1')?.begin({ ...request, raw })
      const { text, parentId } = spans?.ascend('GET') ?? assert.fail()
      const [, server, client] = told
      assert.deepEqual([server, client?.parent], [{ name: 'GET', parent }, '2'.padStart(16, '0')], why)
      assert.equal(text, `00-${spans?.traceId}-${parentId}-01`, why)
    }
  })

  test('are handed over at the end, and an exporter that never answers is not waited for', async () => {
    registerSdk([])
    await findTracing('1')?.flush(10)
    const provider = Reflect.get(globalThis, REGISTRY).trace
    for (const forceFlush of [() => new Promise(() => undefined), () => Promise.reject(new Error('no'))]) {
      Object.assign(provider, { getDelegate: () => ({ forceFlush }) })
      await findTracing('1')?.flush(10)
    }
  })
})
