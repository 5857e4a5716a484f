import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startEvil } from '../support/evil-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { connectRaw } from '../support/raw-client.ts'
import { openRows } from './stage.ts'

const config = (origin: string): string => `
upstreams: { app: { servers: ["${origin}"], writeback: { allow: ["*"] } } }
routes: [{ id: app, match: { path: /* }, upstream: app, auth: optional }]
`

test('an answer that breaks off while its command waits for the store is a 502, and nobody waits for the rest', async () => {
  const cut = Promise.withResolvers<void>()
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Session-Set: {"a":1}\r\n\r\n5\r\nhello\r\n',
    )
    await cut.promise
    connection.reset()
  })
  await using gateway = await startGateway({ config: config(evil.origin) })
  const database = openRows(gateway.folder)
  database.exec('BEGIN IMMEDIATE')
  await using client = await connectRaw(gateway.port)
  await client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await (await evil.connection(0)).bytes(1)
  await connections(gateway.operatorUrl, 1)
  cut.resolve()
  await connections(gateway.operatorUrl, 0)
  database.exec('ROLLBACK')
  database.close()
  const answer = await client.response()
  assert.deepEqual(
    [answer.status, answer.values('Proxy-Status')],
    [502, ['sessiongate; error=http_response_incomplete']],
  )
  const line = await gateway.logged('the request', ({ msg }) => msg === 'request')
  assert.equal(line['http.response.status_code'], 502)
  assert.match(await metricsOf(gateway.operatorUrl), /^sessiongate_http_requests_in_flight\{route="app"\} 0$/m)
})

async function metricsOf(operatorUrl: string): Promise<string> {
  return await (await fetch(`${operatorUrl}/metrics`)).text()
}

/** Waits until so many connections to the app are in use. */
async function connections(operatorUrl: string, count: number): Promise<void> {
  const wanted = `sessiongate_upstream_connections{upstream="app",state="active"} ${count}`
  const giveUpAt = performance.now() + 10_000
  while (!(await metricsOf(operatorUrl)).includes(wanted)) {
    assert.ok(performance.now() < giveUpAt, `never ${count} connections in use`)
  }
}
