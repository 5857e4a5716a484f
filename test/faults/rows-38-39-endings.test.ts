import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { eventWithin, until, within } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { type EvilUpstream, startEvil } from '../support/evil-upstream.ts'
import type { TestGateway } from '../support/gateway.ts'
import type { RawClient, RawResponse } from '../support/raw-client.ts'
import { answerOf, byPath, openGate, pause, times } from './stage.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`

function startUpstream(): Promise<EvilUpstream> {
  return startEvil(
    byPath({
      '': (connection) => connection.send(answerOf('ok')),
      async slow(connection) {
        await pause(1_000)
        await connection.send(answerOf('finished'))
      },
      large: (connection) => connection.send(answerOf('l'.repeat(60_000))),
      hang: () => undefined,
    }),
  )
}

/** Opens a WebSocket to an app that says nothing. */
async function startSockets() {
  const app = await startApp((_request, response) => void response.end())
  const server = new WebSocketServer({ server: app.server })
  return {
    origin: app.origin,
    async [Symbol.asyncDispose]() {
      for (const client of server.clients) client.terminate()
      server.close()
      await app[Symbol.asyncDispose]()
    },
  }
}

/** Everything that still comes on a connection, answer by answer. */
async function answersOn(client: RawClient, atMost: number): Promise<RawResponse[]> {
  const answers: RawResponse[] = []
  while (answers.length < atMost) {
    const answer = await client.response().catch(() => undefined)
    if (answer === undefined) break
    answers.push(answer)
  }
  return answers
}

describe('row 38: SIGTERM', () => {
  test('row 38: readiness goes first; meanwhile everything is served, and kept connections are told to close', async () => {
    await using upstream = await startUpstream()
    await using gate = await openGate(upstream.origin, { sections: 'shutdown: { drain: 10s, readiness_delay: 1s }' })
    await using kept = await gate.connect()
    await kept.send(get('/'))
    assert.deepEqual((await kept.response()).values('connection'), ['keep-alive'])
    const stopped = gate.gateway.stop()
    await gate.gateway.logged('the drain', ({ msg }) => msg === 'draining')
    assert.equal((await fetch(`${gate.gateway.operatorUrl}/readyz`)).status, 503)
    assert.equal((await fetch(`${gate.gateway.operatorUrl}/livez`)).status, 200)
    await gate.assertServes()
    await kept.send(get('/'))
    const answer = await kept.response()
    assert.deepEqual([answer.status, answer.values('connection')], [200, ['close']])
    assert.equal(await stopped, 0)
  })

  test('row 38: what is under way is finished, no new connection is taken, and the exit code is 0', async () => {
    await using upstream = await startUpstream()
    await using gate = await openGate(upstream.origin, { timeouts: 'first_byte: 20s, idle: 20s' })
    await using running = await gate.connect()
    await using idle = await gate.connect()
    await using kept = await gate.connect()
    await kept.send(get('/'))
    await kept.response()
    await running.send(get('/slow'))
    await until('the request is with the app', () => upstream.received().includes('/slow'))
    const stopped = gate.gateway.stop()
    await gate.gateway.logged('the drain', ({ msg }) => msg === 'draining')
    await assert.rejects(gate.connect(), { code: 'ECONNREFUSED' })
    await within('the idle connections to end', Promise.all([idle.closed, kept.closed]), 5_000)
    const answer = await running.response()
    assert.deepEqual([answer.body.toString(), answer.values('connection')], ['finished', ['close']])
    assert.equal(await stopped, 0)
  })

  test('row 38: a busy kept connection brings one more request and gets its answer', async () => {
    await using upstream = await startUpstream()
    await using gate = await openGate(upstream.origin)
    await using kept = await gate.connect()
    await kept.send(get('/'))
    await kept.response()
    gate.gateway.process.kill('SIGTERM')
    await gate.gateway.logged('the drain', ({ msg }) => msg === 'draining')
    await kept.send(get('/'))
    const answer = await kept.response()
    assert.deepEqual([answer.status, answer.values('connection')], [200, ['close']])
  })

  test('row 38: a reader that is slow gets all of every answer that has begun', async () => {
    await using upstream = await startUpstream()
    await using gate = await openGate(upstream.origin, { timeouts: 'first_byte: 20s, idle: 20s' })
    await using client = await gate.connect()
    client.pause()
    const before = await gate.metric(answered)
    let sent = 0
    let taken = 0
    // Until the answers are stuck: the last one is written, and nobody has taken it. Fewer at a time than may wait on a
    // connection: what comes beyond that ends it.
    for (let isStuck = false; !isStuck; ) {
      for (let i = 0; i < 8; i++, sent++) await client.send(get('/large'))
      const giveUpAt = performance.now() + 1_000
      do {
        await pause(10)
        taken = (await gate.metric(answered)) - before
        isStuck = performance.now() > giveUpAt
      } while (taken < sent && !isStuck)
    }
    const stopped = gate.gateway.stop()
    await gate.gateway.logged('the drain', ({ msg }) => msg === 'draining')
    await pause(600)
    client.resume()
    const answers = await answersOn(client, sent)
    assert.equal(await stopped, 0)
    assert.ok(answers.length > taken, `${answers.length} of ${sent} answers, ${taken} before the signal`)
    assert.deepEqual(
      answers.filter(({ isComplete, body }) => !isComplete || body.length !== 60_000),
      [],
    )
    assert.deepEqual(answers.at(-1)?.values('connection'), ['close'])
  })

  test('row 38: WebSockets stay until the deadline and end with 1001; nothing holds up the end after that', async () => {
    await using sockets = await startSockets()
    await using gate = await openGate(sockets.origin, { sections: 'shutdown: { drain: 1s }' })
    const socket = new WebSocket(gate.gateway.url.replace('http', 'ws'))
    await eventWithin(socket, 'open')
    const closed = eventWithin(socket, 'close')
    const stopped = gate.gateway.stop()
    await gate.gateway.logged('the drain', ({ msg }) => msg === 'draining')
    const pong = eventWithin(socket, 'pong')
    socket.ping()
    await pong
    const [code] = await closed
    assert.equal(code, 1001)
    assert.equal(await within('the end', stopped, 5_000), 0)
  })

  test('row 38: a second signal ends everything at once, and the exit code is 0', async () => {
    await using upstream = await startUpstream()
    await using gate = await openGate(upstream.origin, { sections: 'shutdown: { drain: 60s, readiness_delay: 60s }' })
    await using running = await gate.connect()
    await running.send(get('/hang'))
    await until('the request is with the app', () => upstream.received().includes('/hang'))
    gate.gateway.process.kill('SIGTERM')
    await gate.gateway.logged('the drain', ({ msg }) => msg === 'draining')
    assert.equal(await within('the end', gate.gateway.stop(), 5_000), 0)
    await running.closed
  })

  test('row 38: restarts in turn behind a balancer that asks for readiness: no request fails', async () => {
    await using upstream = await startUpstream()
    const open = () => openGate(upstream.origin, { sections: 'shutdown: { drain: 10s, readiness_delay: 400ms }' })
    await using stack = new AsyncDisposableStack()
    const gates = [stack.use(await open()), stack.use(await open())]
    await using probe = startProbe(() => gates.map(({ gateway }) => gateway))
    for (let i = 0; i < times({ usual: 1, whole: 100 }); i++) {
      gates.push(stack.use(await open()))
      await until('the new one is asked', () => probe.isReady(gates.at(-1)?.gateway))
      assert.equal(await gates[0]?.gateway.stop(), 0)
      gates.shift()
    }
    const { asked, failures } = await probe.end()
    assert.deepEqual(failures, [])
    assert.ok(asked > 100, `${asked} requests`)
  })
})

const answered = 'sessiongate_http_requests_total{route="app",method="GET",code="200"}'

/** Asks the gateways that say that they are ready, in turn, 200 times a second on kept connections, as a balancer would. */
function startProbe(gateways: () => readonly TestGateway[]) {
  const agent = new Agent({ keepAlive: true })
  const failures: string[] = []
  const running = new Set<Promise<void>>()
  let ready: readonly TestGateway[] = []
  let asked = 0
  const looking = setInterval(async () => {
    const all = gateways()
    const states = await Promise.all(all.map(readiness))
    ready = all.filter((_, i) => states[i])
  }, 50)
  const asking = setInterval(() => {
    const gateway = ready[asked % ready.length]
    if (gateway === undefined) return
    asked += 1
    const one = ask(agent, gateway.port).catch((error: unknown) => void failures.push(String(error)))
    running.add(one)
    void one.finally(() => running.delete(one))
  }, 5)
  function stop(): void {
    clearInterval(looking)
    clearInterval(asking)
  }
  return {
    isReady: (gateway: TestGateway | undefined) => ready.some((one) => one === gateway),
    async end() {
      stop()
      await Promise.all(running)
      return { asked, failures }
    },
    async [Symbol.asyncDispose]() {
      stop()
      agent.destroy()
    },
  }
}

function readiness({ operatorUrl }: TestGateway): Promise<boolean> {
  return fetch(`${operatorUrl}/readyz`).then(
    ({ status }) => status === 200,
    () => false,
  )
}

async function ask(agent: Agent, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  request({ agent, port, host: '127.0.0.1' }, async (response) => {
    const body = await text(response)
    if (response.statusCode === 200 && body === 'ok') resolve()
    else reject(new Error(`${response.statusCode} ${body}`))
  })
    .on('error', reject)
    .end()
  await promise
}

describe('row 39: SIGKILL', () => {
  test('row 39: under writes: the port is free at once, and every session that was acknowledged is there', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
    stack.defer(() => rm(folder, { recursive: true }))
    await using upstream = await startEvil(
      byPath({
        login: (connection, head) => {
          const id = /\/login\/(\d+)/.exec(head)?.[1]
          return connection.send(answerOf('in', `X-Session-Set: {"userInfo":{"id":${id}}}\r\n`))
        },
        who: (connection, head) => connection.send(answerOf(/x-session-assertion: \S+/i.exec(head)?.[0] ?? 'nobody')),
      }),
    )
    const open = (listen: string) =>
      openGate(upstream.origin, {
        folder,
        sections: `keys: [{ id: test, secret: "0123456789abcdef0123456789abcdef" }]\n${listen}`,
      })
    const acknowledged = new Map<number, string>()
    let port = 0
    for (let round = 0; round < times({ usual: 2, whole: 50 }); round++) {
      await using gate = await open(port === 0 ? '' : `listen: [{ address: "127.0.0.1:${port}" }]\n`)
      port = gate.gateway.port
      const from = acknowledged.size * 10
      const writers = Array.from({ length: 200 }, async (_, i) => {
        const answer = await gate.ask(`/login/${from + i}`)
        const [line = ''] = answer.values('set-cookie')
        if (answer.status === 200) acknowledged.set(from + i, line.slice(0, line.indexOf(';')))
      })
      await until('some are in', () => acknowledged.size > from / 10 + 20)
      gate.gateway.process.kill('SIGKILL')
      await Promise.allSettled(writers)
    }
    await using gate = await open(`listen: [{ address: "127.0.0.1:${port}" }]\n`)
    for (const [id, cookie] of acknowledged) {
      const said = (await gate.ask('/who', { lines: `Cookie: ${cookie}\r\n` })).body.toString()
      const claims = JSON.parse(Buffer.from(said.split('.')[1] ?? 'bnVsbA', 'base64url').toString())
      assert.deepEqual(claims?.ses, { userInfo: { id } })
    }
  })
})
