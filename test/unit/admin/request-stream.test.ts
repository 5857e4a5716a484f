import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createAdminApi } from '../../../src/admin/api.ts'
import type { Operations } from '../../../src/admin/operations.ts'
import { turns, until } from '../../support/deadline.ts'
import { connectRaw } from '../../support/raw-client.ts'

const ask = 'GET /api/requests HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer abc\r\n\r\n'

/** The API alone, behind a server of its own. */
async function openStreams() {
  const listeners = new Set<(line: string) => void>()
  const responses: ServerResponse[] = []
  const operations: Pick<Operations, 'watchRequests'> = {
    watchRequests(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
  const api = createAdminApi({
    operations: operations as Operations,
    token: 'abc',
    version: '1',
    onAudit: () => undefined,
    onFailure: (error) => assert.fail(String(error)),
  })
  const server = createServer((request, response) => {
    responses.push(response)
    void api.serve(request, response, undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    api,
    responses,
    listeners,
    tell: (line: string) => {
      for (const listener of listeners) listener(line)
    },
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

test('requests that end while a slow watcher is being let go are told to nobody, and harm nobody', async () => {
  await using streams = await openStreams()
  await using client = await connectRaw(streams.port)
  client.pause()
  await client.send(ask)
  await until('somebody watches', () => streams.listeners.size === 1)
  const [response] = streams.responses
  for (let i = 0; i < 10_000 && (response?.writableLength ?? 0) < 100_000; i += 1) {
    streams.tell('x'.repeat(10_000))
    await turns(1)
  }
  assert.ok((response?.writableLength ?? 0) >= 100_000, 'the connection is full')
  streams.api.close()
  streams.tell('late')
  await turns()
  assert.equal(streams.listeners.size, 0)
})

test('for who reads nothing no more than a little waits', async () => {
  await using streams = await openStreams()
  await using client = await connectRaw(streams.port)
  client.pause()
  await client.send(ask)
  await until('somebody watches', () => streams.listeners.size === 1)
  for (let i = 0; i < 600; i += 1) {
    streams.tell('x'.repeat(10_000))
    if (i % 10 === 0) await turns(1)
  }
  assert.ok((streams.responses[0]?.writableLength ?? 0) < 512 * 1024)
})

test('who has left makes room for another', async () => {
  await using streams = await openStreams()
  const clients = await Promise.all(Array.from({ length: 8 }, () => connectRaw(streams.port)))
  for (const client of clients) await client.send(ask)
  await until('eight watch', () => streams.listeners.size === 8)
  await using ninth = await connectRaw(streams.port)
  await ninth.send(ask)
  assert.equal((await ninth.response()).status, 409)
  for (const client of clients) client.reset()
  await until('nobody watches', () => streams.listeners.size === 0)
  await ninth.send(ask)
  assert.equal((await ninth.response({ method: 'HEAD' })).status, 200)
})
