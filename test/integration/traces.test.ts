import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { WebSocket, WebSocketServer } from 'ws'
import { eventWithin } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'

const checkout = join(import.meta.dirname, '../..')
const CALLER = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331' }
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`
const [SERVER, CLIENT, ERROR] = [2, 3, 2]

type Value = string | number

/** A span as OTLP's JSON has it. */
interface Span {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly status: { readonly code?: number }
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, Value>> }[]
}

function factsOf({ attributes }: Span): Record<string, Value | undefined> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}

/** Takes spans, as a collector does. */
async function startCollector() {
  const spans: Span[] = []
  let text = ''
  const server: Server = createServer(async (request, response) => {
    // biome-ignore lint/suspicious/noExplicitAny: OTLP nests deeply, and the tests judge what comes out
    const body = (await json(request)) as any
    text += JSON.stringify(body)
    for (const { scopeSpans } of body.resourceSpans) for (const scope of scopeSpans) spans.push(...scope.spans)
    response.setHeader('Content-Type', 'application/json').end('{}')
  })
  server.listen(0, '127.0.0.1')
  await eventWithin(server, 'listening')
  return {
    spans,
    text: () => text,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The operator's own folder with an SDK, by the page. Its API is another copy, and says that it is an older one. */
async function installSdk(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sessiongate-otel-'))
  const scope = join('node_modules', '@opentelemetry')
  await mkdir(join(folder, 'node_modules'))
  await cp(join(checkout, scope), join(folder, scope), { recursive: true, dereference: true })
  for (const name of ['version', 'internal/global-utils', 'internal/semver']) {
    for (const ending of ['mjs', 'cjs']) {
      const file = join(folder, scope, 'api/dist', `${name}.${ending}`)
      await writeFile(file, (await readFile(file, 'utf8')).replaceAll(/"1\.\d+\.\d+"/g, '"1.8.0"'))
    }
  }
  const page = await readFile(join(checkout, 'docs/traces.md'), 'utf8')
  const [, script = ''] = /```js\n(\/\/ otel\.mjs\n[\s\S]*?)```/.exec(page) ?? []
  await writeFile(join(folder, 'otel.mjs'), script)
  const off = script.replace('new TracerProvider({', 'new TracerProvider({ sampler: new AlwaysOffSampler(),')
  await writeFile(join(folder, 'off.mjs'), off.replace('import { Batch', 'import { AlwaysOffSampler, Batch'))
  return folder
}

async function startStage({ script, more = '' }: { script?: string; more?: string } = {}) {
  await using stack = new AsyncDisposableStack()
  const collector = stack.use(await startCollector())
  const received: (string | undefined)[] = []
  const app = stack.use(
    await startApp((request, response) => {
      received.push(String(request.headers.traceparent))
      if (request.url?.startsWith('/login')) response.setHeader('X-Session-Set', '{"userInfo":{"name":"canary-value"}}')
      if (request.url === '/live?broken') response.statusCode = 503
      response.end('app')
    }),
  )
  const sockets = new WebSocketServer({ server: app.server })
  sockets.on('headers', (_, request) => received.push(String(request.headers.traceparent)))
  const config = `version: 1
session: { local_cache: null }
upstreams:
  app: { servers: ["${app.origin}"], writeback: { allow: ["*"] } }
  gone: { servers: ["http://127.0.0.1:9"], retries: 0 }
routes:
  - { id: login, match: { path: /login }, upstream: app, auth: public }
  - { id: gone, match: { path: /gone }, upstream: gone, auth: public }
  - { id: live, match: { path: /live }, upstream: app, auth: public }
  - { id: app, match: { path: /app/* }, upstream: app, auth: required }
${more}`
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    ...(script === undefined ? {} : { NODE_OPTIONS: `--import ${pathToFileURL(script).href}` }),
  }
  const gateway = stack.use(await startGateway({ config, env }))
  const closing = stack.move()
  return { collector, received, gateway, [Symbol.asyncDispose]: () => closing.disposeAsync() }
}

async function logIn({ url }: TestGateway): Promise<string> {
  const answer = await fetch(`${url}/login?token=canary-query`, {
    method: 'POST',
    headers: { traceparent: TRACEPARENT },
  })
  return answer.headers.getSetCookie()[0]?.split(';', 1)[0] ?? ''
}

describe('with an SDK that the operator has installed for himself', () => {
  let folder = ''
  before(async () => {
    folder = await installSdk()
  })
  after(() => rm(folder, { recursive: true }))

  test('a request has a span below its caller’s, with one for each step, and the app is told of the one that is its parent', async () => {
    await using stage = await startStage({ script: join(folder, 'otel.mjs') })
    const { gateway, collector, received } = stage
    await gateway.logged('the word', ({ msg }) => msg === 'spans are recorded')
    const cookie = await logIn(gateway)
    assert.equal((await fetch(`${gateway.url}/app/page`, { headers: { cookie } })).status, 200)
    assert.equal(await gateway.stop(), 0)

    const { spans } = collector
    const named = (name: string, kind?: number): Span =>
      spans.find((span) => span.name === name && (kind ?? span.kind) === span.kind) ??
      assert.fail(`${name} is not among ${spans.map((span) => span.name).join(', ')}`)
    const login = named('POST login', SERVER)
    assert.deepEqual([login.traceId, login.parentSpanId], [CALLER.traceId, CALLER.spanId])
    const { traceId, spanId } = login
    const below = spans.filter((span) => span.parentSpanId === spanId)
    assert.deepEqual(below.map(({ name }) => name).toSorted(), ['POST app', 'rules', 'write-back'])
    assert.equal(received[0], `00-${traceId}-${named('POST app', CLIENT).spanId}-01`)
    const facts = factsOf(login)
    assert.deepEqual(
      [facts['http.request.method'], facts['http.route'], Number(facts['http.response.status_code'])],
      ['POST', 'login', 200],
    )
    assert.deepEqual([facts['url.path'], facts['sessiongate.writeback.result']], ['/login', 'applied'])

    const page = named('GET app', SERVER)
    assert.equal(page.parentSpanId || undefined, undefined)
    const belowPage = spans.filter((span) => span.parentSpanId === page.spanId)
    assert.deepEqual(belowPage.map(({ name }) => name).toSorted(), ['GET app', 'rules', 'session'])
    assert.equal(received[1], `00-${page.traceId}-${named('GET app', CLIENT).spanId}-01`)
    const logged = gateway.log.filter(({ msg }) => msg === 'request').map(({ trace_id: id }) => id)
    assert.deepEqual(logged, [CALLER.traceId, page.traceId])
    const key = cookie.split('=')[1] ?? ''
    assert.equal(key.length, 32)
    for (const secret of ['canary-query', 'canary-value', key]) assert.ok(!collector.text().includes(secret), secret)
  })

  test('what fails is an error by its code, and what a stranger asks for is none and makes no names', async () => {
    await using stage = await startStage({ script: join(folder, 'otel.mjs') })
    const { gateway, collector } = stage
    assert.equal((await fetch(`${gateway.url}/gone`)).status, 502)
    assert.equal((await fetch(`${gateway.url}/nowhere/canary`)).status, 404)
    assert.equal((await fetch(`${gateway.url}/app/`, { method: 'PROPFIND' })).status, 401)
    assert.equal((await fetch(`${gateway.url}/live`)).status, 200)
    assert.equal((await fetch(`${gateway.url}/live?broken`)).status, 503)
    await gateway.stop()
    const told = collector.spans
      .filter(({ kind }) => kind === SERVER || kind === CLIENT)
      .map((span) => [span.name, span.kind, span.status.code ?? 0, factsOf(span)['error.type']])
    assert.deepEqual(
      told.toSorted(),
      [
        ['GET gone', CLIENT, ERROR, 'connection_refused'],
        ['GET gone', SERVER, ERROR, 'ERR_UPSTREAM_UNREACHABLE'],
        ['GET', SERVER, 0, 'ERR_ROUTE_NOT_FOUND'],
        ['HTTP app', SERVER, 0, 'ERR_SESSION_REQUIRED'],
        ['GET live', SERVER, 0, undefined],
        ['GET app', CLIENT, 0, undefined],
        ['GET live', SERVER, ERROR, '503'],
        ['GET app', CLIENT, ERROR, '503'],
      ].toSorted(),
    )
  })

  test('a WebSocket handshake is a request like others', async () => {
    await using stage = await startStage({ script: join(folder, 'otel.mjs') })
    const { gateway, collector, received } = stage
    const headers = { traceparent: TRACEPARENT }
    const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/live`, { headers })
    await eventWithin(socket, 'open')
    socket.terminate()
    await gateway.stop()
    const server = collector.spans.find(({ name }) => name === 'GET live') ?? assert.fail()
    const client = collector.spans.find(({ kind }) => kind === CLIENT) ?? assert.fail()
    assert.deepEqual([server.parentSpanId, client.parentSpanId], [CALLER.spanId, server.spanId])
    for (const span of [server, client]) assert.equal(Number(factsOf(span)['http.response.status_code']), 101)
    assert.equal(received[0], `00-${CALLER.traceId}-${client.spanId}-01`)
  })

  test('each worker records its own', async () => {
    await using stage = await startStage({ script: join(folder, 'otel.mjs'), more: 'workers: 2' })
    const { gateway, collector } = stage
    const told = () => gateway.log.filter(({ msg }) => msg === 'spans are recorded').length
    await gateway.logged('the word of both', () => told() === 2)
    for (let count = 0; count < 4; count++) await logIn(gateway)
    assert.equal(await gateway.stop(), 0)
    assert.equal(collector.spans.filter(({ name }) => name === 'POST login').length, 4)
  })

  test('a request that is not among the recorded ones tells the app so', async () => {
    await using stage = await startStage({ script: join(folder, 'off.mjs') })
    const { gateway, collector, received } = stage
    await logIn(gateway)
    await gateway.stop()
    assert.match(String(received[0]), new RegExp(`^00-${CALLER.traceId}-[0-9a-f]{16}-00$`))
    assert.deepEqual(collector.spans, [])
  })
})

test('without an SDK nothing is recorded, and the trace goes through as it came', async () => {
  await using stage = await startStage()
  const { gateway, collector, received } = stage
  await logIn(gateway)
  assert.equal(await gateway.stop(), 0)
  assert.deepEqual([received, collector.spans], [[TRACEPARENT], []])
  assert.ok(!gateway.log.some(({ msg }) => msg === 'spans are recorded'))
})
