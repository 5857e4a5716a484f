import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acceptFor } from '../../src/proxy/handshake.ts'
import { turns, until, within } from '../support/deadline.ts'
import { startEvil } from '../support/evil-upstream.ts'
import { closedOrigin, openTo, requestTo, textOf } from '../support/proxied.ts'
import { connectRaw } from '../support/raw-client.ts'
import { framesAt, handshake, hello, key, openRaw, startGate, switching } from '../support/websocket-gate.ts'

test('the handshake goes up byte for byte, and nothing of the client’s connection with it', async () => {
  await using open = await openRaw()
  assert.deepEqual(open.server.received().split('\r\n'), [
    'GET /chat%2F?x=%zz HTTP/1.1',
    'host: app.test',
    ...['connection: upgrade', 'upgrade: websocket', 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`],
    ...['', ''],
  ])
})

test('the 101 has the lines it must have, those it is given, and their bytes unchanged', async () => {
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send(switching.replace('\r\n\r\n', '\r\nContent-Length: 5\r\n\r\n'))
  })
  await using upstream = openTo(evil.origin)
  await using gate = await startGate(upstream, {
    lines: ['Set-Cookie', 'a=\xe9', 'Set-Cookie', 'b=2', '__proto__', 'x'],
  })
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  const answer = await client.response()
  assert.equal(answer.reason, 'Switching Protocols')
  assert.deepEqual(answer.rawHeaders, [
    ...['Upgrade', 'websocket', 'Connection', 'Upgrade', 'Sec-WebSocket-Accept', acceptFor(key)],
    ...['Set-Cookie', 'a=\xe9', 'Set-Cookie', 'b=2', '__proto__', 'x'],
  ])
})

test('no byte of the client reaches the upstream before a verified 101, and none is lost after it', async () => {
  const { promise: mayAnswer, resolve: answer } = Promise.withResolvers<void>()
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await mayAnswer
    await connection.send(Buffer.concat([Buffer.from(switching), hello]))
  })
  await using upstream = openTo(evil.origin)
  await using gate = await startGate(upstream)
  await using client = await connectRaw(gate.port)
  await client.send(`${handshake}early `)
  const server = await evil.connection(0)
  await server.head()
  await client.send('earlier')
  await turns(50)
  assert.ok(server.received().endsWith('\r\n\r\n'), 'only the handshake has come')
  answer()
  assert.equal(String(await framesAt(server, 13)), 'early earlier')
  assert.equal((await client.response()).status, 101)
  assert.deepEqual(await client.data(hello.length), hello)
})

const upgradeFailed = 'ERR_UPSTREAM_PROTOCOL http_upgrade_failed'
const protocolError = 'ERR_UPSTREAM_PROTOCOL http_protocol_error'
const wrongSwitches: [why: string, bytes: string, failure: string][] = [
  ['another protocol', switching.replace('websocket', 'h2c'), upgradeFailed],
  ['a wrong proof', switching.replace(acceptFor(key), acceptFor(key.replace('d', 'e'))), upgradeFailed],
  ['no proof', switching.replace(/Sec-.*\r\n/, ''), upgradeFailed],
  ['two proofs', switching.replace(/(Sec-.*\r\n)/, '$1$1'), upgradeFailed],
  ['no Upgrade', switching.replace('Upgrade: websocket\r\n', ''), protocolError],
  ['no Connection', switching.replace('Connection: Upgrade\r\n', ''), protocolError],
  ['no line at all', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', protocolError],
  ['no HTTP', 'hello\r\n\r\n', protocolError],
]

for (const [why, bytes, failure] of wrongSwitches) {
  test(`an upstream that only claims to switch gets no byte of the client: ${why}`, async () => {
    await using evil = await startEvil(async (connection) => {
      await connection.head()
      await connection.send(`${bytes}GET`)
    })
    await using upstream = openTo(evil.origin, { retries: 3 })
    await using gate = await startGate(upstream)
    await using client = await connectRaw(gate.port)
    await client.send(`${handshake}GET /secret HTTP/1.1\r\n\r\n`)
    assert.equal((await client.response()).status, 502)
    assert.deepEqual(gate.failures, [failure])
    await within('the connection to be closed', (await evil.connection(0)).closed)
    assert.equal(evil.received().includes('secret'), false)
    assert.equal(evil.connections.length, 1)
  })
}

const ordinaryAnswers: [why: string, bytes: string, status: number, body: string][] = [
  [
    '200 with upgrade lines',
    switching.replace('101', '200').replace('\r\n\r\n', '\r\nContent-Length: 2\r\n\r\nno'),
    200,
    'no',
  ],
  ['a refusal', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nauth', 403, 'auth'],
  [
    'another version wanted',
    'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n',
    426,
    '',
  ],
  ['chunks', 'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n', 404, 'abc'],
]

for (const [why, bytes, status, body] of ordinaryAnswers) {
  test(`an upstream that does not switch has given an answer, and its connection is closed: ${why}`, async () => {
    await using evil = await startEvil([bytes, switching])
    await using upstream = openTo(evil.origin)
    await using gate = await startGate(upstream)
    await using client = await connectRaw(gate.port)
    await client.send(`${handshake}early`)
    const answer = await client.response()
    assert.deepEqual([answer.status, String(answer.body)], [status, body])
    await within('the connection to be closed', (await evil.connection(0)).closed)
    assert.ok(evil.received().endsWith('\r\n\r\n'))
    await until('it is forgotten', () => upstream.stats().active === 0)
    assert.deepEqual(upstream.stats(), { active: 0, idle: 0, pending: 0 })
  })
}

test('a large answer to a handshake waits for its reader', async () => {
  const bytes = 32 * 2 ** 20
  let sent = 0
  await using evil = await startEvil(async (connection) => {
    await connection.head()
    await connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`)
    for (; sent < bytes; sent += 65_536) await connection.send(Buffer.alloc(65_536))
  })
  await using upstream = openTo(evil.origin)
  await using gate = await startGate(upstream)
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  client.pause()
  await until('bytes come', () => sent > 0)
  for (let before = -1; before !== sent; ) {
    before = sent
    await turns(300)
  }
  assert.ok(sent < bytes / 2, `${sent} bytes were sent`)
  client.resume()
  assert.equal((await client.response()).body.length, bytes)
})

test('a handshake that is not answered ends at its deadline', async () => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin, { retries: 3 })
  await using gate = await startGate(upstream, { handshakeTimeoutMs: 50 })
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  assert.equal((await client.response()).status, 504)
  assert.deepEqual(gate.failures, ['ERR_UPSTREAM_TIMEOUT http_response_timeout'])
  await within('the connection to be closed', (await evil.connection(0)).closed)
  assert.equal(evil.connections.length, 1)
})

test('an upstream that refuses the connection is told of as such', async () => {
  await using upstream = openTo(await closedOrigin(), { retries: 1 })
  await using gate = await startGate(upstream)
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  assert.equal((await client.response()).status, 502)
  assert.deepEqual(gate.failures, ['ERR_UPSTREAM_UNREACHABLE connection_refused'])
})

test('a client that goes during the handshake takes the upstream’s connection along', async () => {
  await using evil = await startEvil(() => {})
  await using upstream = openTo(evil.origin)
  await using gate = await startGate(upstream)
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  const server = await evil.connection(0)
  await server.head()
  client.reset()
  await within('the connection to be closed', server.closed)
  await until('it is noticed', () => gate.failures.length === 1)
})

test('a client that goes between the 101 and the start takes the upstream’s connection along', async () => {
  const { promise: mayStart, resolve: start } = Promise.withResolvers<void>()
  const { promise: isHeld, resolve: held } = Promise.withResolvers<void>()
  await using evil = await startEvil([switching])
  await using upstream = openTo(evil.origin)
  const beforeStart = () => {
    held()
    return mayStart
  }
  await using gate = await startGate(upstream, { beforeStart })
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  await isHeld
  client.reset()
  await within('the connection to be closed', (await evil.connection(0)).closed)
  start()
  const tunnel = await gate.tunnel(0)
  await within('the end', tunnel.closed)
})

test('tunnels outlive the upstream: a reload must not cut them', async () => {
  await using evil = await startEvil([switching])
  const upstream = openTo(evil.origin)
  await using gate = await startGate(upstream)
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  assert.equal((await client.response()).status, 101)
  assert.deepEqual(upstream.stats(), { active: 1, idle: 0, pending: 0 })
  await upstream[Symbol.asyncDispose]()
  const connection = await evil.connection(0)
  await connection.send('down')
  assert.equal((await client.data(4)).toString(), 'down')
  connection.reset()
  await within('the end', (await gate.tunnel(0)).closed)
  await within('the connection to be closed', client.closed)
})

test('a kept connection is never used for a handshake', async () => {
  const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
  await using evil = await startEvil([ok, switching], [switching])
  await using upstream = openTo(evil.origin)
  assert.equal(await textOf((await upstream.forward(requestTo())).body), '')
  await using gate = await startGate(upstream)
  await using client = await connectRaw(gate.port)
  await client.send(handshake)
  assert.equal((await client.response()).status, 101)
  assert.equal(evil.connections.length, 2)
})
