import assert from 'node:assert/strict'
import type { HealthOptions, Upstream } from '../../src/proxy/upstream.ts'
import { type AppAnswer, startApp } from '../support/app.ts'
import { turns, until } from '../support/deadline.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import { requestTo, testEach, textOf } from '../support/proxied.ts'

const health: HealthOptions = {
  path: '/healthz?deep=1',
  host: undefined,
  intervalMs: 10,
  timeoutMs: 5_000,
  unhealthyAfter: 3,
  healthyAfter: 2,
}
const isUp = (upstream: Upstream): boolean[] => upstream.servers().map((server) => server.isUp)

/** An app whose checks are answered with the statuses of that list in turn, and then with its last one. */
async function startChecked(...statuses: number[]) {
  let checks = 0
  const app = await startApp(({ url }): AppAnswer => {
    if (!url.startsWith('/healthz')) return { body: 'page' }
    const status = statuses[Math.min(checks, statuses.length - 1)] ?? 200
    checks += 1
    return { status }
  })
  return Object.assign(app, { checked: () => checks })
}

testEach('a server whose checks fail gets no request until they go well again', async (openTo) => {
  await using sick = await startChecked(200, 503, 500, 404, 404, 200, 302)
  await using well = await startChecked(204)
  const causes: unknown[] = []
  await using upstream = openTo([sick.origin, well.origin], {
    health,
    onState: ({ source, cause }) => void causes.push(source, cause instanceof Error ? cause.message : cause),
  })
  await until('the sick one is left out', () => isUp(upstream)[0] === false)
  const before = sick.requests.filter(({ url }) => url === '/').length
  for (let i = 0; i < 4; i++) await textOf((await upstream.forward(requestTo())).body)
  assert.equal(sick.requests.filter(({ url }) => url === '/').length, before)
  await until('the sick one is back', () => isUp(upstream)[0] === true)
  assert.deepEqual(causes, ['checks', 'the health check was answered with 404', 'checks', undefined])
  assert.deepEqual(isUp(upstream), [true, true])
})

testEach('a check asks for the path with a Host, and with nothing of anybody’s session', async (openTo) => {
  await using app = await startChecked(200)
  await using upstream = openTo(app.origin, { health: { ...health, host: 'app.example.com' }, passHost: false })
  await until('two checks', () => app.checked() >= 2)
  const [first] = app.requests
  assert.equal(first?.url, '/healthz?deep=1')
  assert.deepEqual(first?.values('host'), ['app.example.com'])
  assert.deepEqual(first?.values('cookie'), [])
  assert.deepEqual(isUp(upstream), [true])
})

testEach('a server that takes connections and never answers is found out by the timeout', async (openTo) => {
  await using app = await startChecked(200)
  await using proxy = await startFaultProxy(Number(new URL(app.origin).port))
  await using upstream = openTo(`http://127.0.0.1:${proxy.port}`, { health: { ...health, timeoutMs: 100 } })
  await until('a first check', () => app.checked() > 0)
  proxy.set({ kind: 'stall' })
  await until('it is left out', () => isUp(upstream)[0] === false)
  proxy.pass()
  await until('it is back', () => isUp(upstream)[0] === true)
})

testEach('an answer that does not end is cut when its head has come', async (openTo) => {
  await using endless = await startEvil(async (connection) => {
    await connection.head()
    await connection.send('HTTP/1.1 200 OK\r\n\r\nmore and more')
    await connection.closed
  })
  await using upstream = openTo(endless.origin, { health })
  const first = await endless.connection(0)
  await first.closed
  await endless.connection(1)
  assert.deepEqual(isUp(upstream), [true])
})

testEach('checks end with the upstream, also one that is under way', async (openTo) => {
  await using silent = await startEvil(async (connection) => {
    await connection.head()
    await connection.closed
  })
  const upstream = openTo(silent.origin, { health })
  const first = await silent.connection(0)
  await first.head()
  await upstream[Symbol.asyncDispose]()
  await first.closed
  await turns()
  assert.equal(silent.connections.length, 1)
})
