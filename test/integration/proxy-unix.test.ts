import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before } from 'node:test'
import { failureOf, requestTo, testEach, textOf } from '../support/proxied.ts'

let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sessiongate-'))
})

after(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** An app on that socket: says what it was sent, and takes any upgrade. */
async function startOn(path: string): Promise<AsyncDisposable> {
  const server = createServer(async (incoming, response) => {
    const body = await incoming.setEncoding('utf8').toArray()
    response.end(`${incoming.method} ${incoming.headers.host} ${body.join('')}`)
  })
  server.on('upgrade', (_incoming, socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

testEach('an app on a Unix socket is asked as any other', async (openTo) => {
  const path = join(folder, 'app.sock')
  await using _app = await startOn(path)
  await using upstream = openTo(`unix:${path}`)
  const body = Readable.from([Buffer.from('a body')])
  const answer = await upstream.forward(requestTo({ method: 'POST', body, contentLength: 6 }))
  assert.equal(await textOf(answer.body), 'POST app.test a body')
  assert.equal(answer.server, `unix:${path}`)
  const switched = await upstream.upgrade(requestTo())
  assert.equal(switched.kind, 'switched')
  if (switched.kind === 'switched') switched.socket.destroy()
})

testEach('a socket has no name, so its own Host is localhost', async (openTo) => {
  const path = join(folder, 'own.sock')
  await using _app = await startOn(path)
  await using upstream = openTo(`unix:${path}`, { passHost: false })
  assert.equal(await textOf((await upstream.forward(requestTo())).body), 'GET localhost ')
})

testEach('a socket that is not there is an app that refuses, and another server is asked', async (openTo) => {
  const path = join(folder, 'there.sock')
  const missing = `unix:${join(folder, 'missing.sock')}`
  await using _app = await startOn(path)
  await using alone = openTo(missing)
  assert.equal(await failureOf(alone.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE connection_refused')
  await using both = openTo([missing, `unix:${path}`], { retries: 1 })
  assert.equal(await textOf((await both.forward(requestTo())).body), 'GET app.test ')
})
