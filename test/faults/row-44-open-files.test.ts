import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until, within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { connectRaw, type RawClient } from '../support/raw-client.ts'
import { openGate, pause } from './stage.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n`

/** An app whose `/hang` never answers, and whose other addresses say what they are. */
function startHanging() {
  return startApp((request, response) => {
    if (request.url !== '/hang') response.end(request.url)
  })
}

const patient = { timeouts: 'connect: 5s, first_byte: 60s, idle: 60s' }
const ejected = (gate: { metric(line: string): Promise<number> }, server: string): Promise<number> =>
  gate.metric(`sessiongate_upstream_server_ejected_total{upstream="app",server="${server}"}`)

describe('row 44: open files are divided', () => {
  test('row 44: an app that hangs takes neither the clients’ part nor that of another app', async () => {
    await using app = await startHanging()
    await using gate = await openGate(app.origin, { ...patient, maxOpenFiles: 256 })
    await using stack = new AsyncDisposableStack()
    const answers: Promise<number>[] = []
    // As many as there is room for: what is one too many is answered, the others wait.
    for (let i = 0; i < 90; i++) {
      const client = stack.use(await gate.connect())
      await client.send(get('/hang'))
      if (i >= 72) answers.push(client.response().then(({ status }) => status))
    }
    assert.deepEqual(await Promise.all(answers), new Array<number>(18).fill(503))
    assert.equal(app.connections(), 72)
    for (let i = 0; i < 5; i++) await gate.assertServes()
    assert.equal(await ejected(gate, new URL(app.origin).host), 0)
    const line = await gate.gateway.logged('the refusal', (entry) => entry['error.type'] === 'ERR_OVERLOADED')
    assert.match(String(line['error.message']), /no socket is left/)
  })

  test('row 44: idle clients leave room for those who ask, and are closed at the door when there are too many', async () => {
    await using app = await startHanging()
    await using gate = await openGate(app.origin, { ...patient, maxOpenFiles: 256 })
    await using regular = await gate.connect()
    await using stack = new AsyncDisposableStack()
    const crowd: RawClient[] = []
    for (let i = 0; i < 250; i++) crowd.push(stack.use(await gate.connect()))
    await until('those too many are closed', () => crowd.filter(({ socket }) => socket.readableEnded).length >= 83)
    for (let i = 0; i < 20; i++) {
      await regular.send(get(`/asked/${i}`))
      assert.equal((await regular.response()).body.toString(), `/asked/${i}`)
    }
    const total = 'sessiongate_client_connections_refused_total{reason="total"}'
    assert.equal(await gate.metric(total), 83)
    assert.equal(await gate.metric('sessiongate_client_connections'), 168)
    for (const client of crowd) client.socket.destroy()
    await within('a newcomer to be served', servedAgain(gate.gateway.port))
    await gate.assertServes()
  })

  test('row 44: that the system has no more is not held against the app’s server', async () => {
    await using app = await startHanging()
    let open = 0
    app.server.on('connection', (socket) => {
      open += 1
      socket.on('close', () => {
        open -= 1
      })
    })
    // The gateway's own files take more than is kept for them here, so it is the system that says no.
    await using gate = await openGate(app.origin, { ...patient, maxOpenFiles: 44 })
    await using regular = await gate.connect()
    await regular.send(get('/before'))
    assert.equal((await regular.response()).body.toString(), '/before')
    await using stack = new AsyncDisposableStack()
    for (let i = 0; i < 60; i++) stack.use(await gate.connect())
    await until('the connection kept to the app is closed', () => open === 0)
    // What that one had is taken as well.
    for (let i = 0; i < 10; i++) stack.use(await gate.connect())
    await regular.send('GET /well HTTP/1.1\r\nHost: x\r\n\r\n')
    await regular.response()
    const statuses: number[] = []
    for (let i = 0; i < 6; i++) {
      await regular.send(get(`/during/${i}`))
      statuses.push((await regular.response()).status)
    }
    assert.deepEqual(new Set(statuses), new Set([503]))
    await stack.disposeAsync()
    await within('a newcomer to be served', servedAgain(gate.gateway.port))
    const line = await gate.gateway.logged('the refusal', (entry) => entry['error.type'] === 'ERR_OVERLOADED')
    assert.match(JSON.stringify(line), /EMFILE/)
    await regular.send(get('/after'))
    assert.equal((await regular.response()).body.toString(), '/after')
    assert.equal(await ejected(gate, new URL(app.origin).host), 0)
  })
})

/** Until the system has noticed that the crowd is gone, a newcomer may be turned away. */
async function servedAgain(port: number): Promise<void> {
  for (;;) {
    await using client = await connectRaw(port)
    await client.send(get('/well')).catch(() => undefined)
    const answer = await client.response().catch(() => undefined)
    if (answer?.body.toString() === 'well') return
    await pause(50)
  }
}
