import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { HostAddress, NameResolution } from '../../src/proxy/address-book.ts'
import type { Upstream } from '../../src/proxy/upstream.ts'
import { until } from '../support/deadline.ts'
import { failureOf, requestTo, streamOf, testEach, textOf } from '../support/proxied.ts'

const REFRESH_MS = 20

/** A name server of which the test owns the answers; an Error is what it fails with. */
function createNames(...addresses: string[]) {
  const names = {
    answer: addresses as readonly string[] | Error,
    asked: 0,
    resolution: {
      refreshMs: REFRESH_MS,
      async resolve(): Promise<readonly HostAddress[]> {
        names.asked += 1
        if (names.answer instanceof Error) throw names.answer
        return names.answer.map((address) => ({ address, family: 4 }))
      },
    } satisfies NameResolution,
  }
  return names
}

/** An app on that address of this machine, and on that port: says where it is, slowly at `/slow`. */
async function startAt(host: string, port = 0) {
  let finish = (): void => undefined
  const server = createServer((incoming, response) => {
    response.write(host)
    if (incoming.url === '/slow') finish = () => void response.end('!')
    else response.end()
  })
  server.keepAliveTimeout = 60_000
  server.listen(port, host)
  await once(server, 'listening')
  let opened = 0
  server.on('connection', () => {
    opened += 1
  })
  return {
    port: (server.address() as AddressInfo).port,
    opened: () => opened,
    finish: () => finish(),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const get = async (upstream: Upstream) => textOf((await upstream.forward(requestTo())).body)

testEach('a name is resolved once for many requests, and again when its time has come', async (openTo) => {
  await using app = await startAt('127.0.0.1')
  const names = createNames('127.0.0.1')
  const resolution = { ...names.resolution, refreshMs: 60_000 }
  await using upstream = openTo(`http://app.test:${app.port}`, { resolution })
  await Promise.all(Array.from({ length: 5 }, () => get(upstream)))
  assert.equal(names.asked, 1)
  await using eager = openTo(`http://app.test:${app.port}`, { resolution: names.resolution })
  assert.equal(await get(eager), '127.0.0.1')
  await until('it is asked again', () => names.asked >= 4)
})

testEach('when the answer changes, kept connections to the old address are closed', async (openTo) => {
  await using old = await startAt('127.0.0.1')
  await using next = await startAt('127.0.0.2', old.port)
  const names = createNames('127.0.0.1')
  await using upstream = openTo(`http://app.test:${old.port}`, { resolution: names.resolution })
  assert.equal(await get(upstream), '127.0.0.1')
  const slow = await upstream.forward(requestTo({ target: '/slow' }))
  assert.deepEqual([old.opened(), upstream.stats().active], [1, 1])
  assert.equal(await get(upstream), '127.0.0.1')
  assert.equal(upstream.stats().idle, 1)
  names.answer = ['127.0.0.2']
  await until('the idle connection is closed', () => upstream.stats().idle === 0)
  assert.equal(await get(upstream), '127.0.0.2')
  assert.equal(next.opened(), 1)

  const rest = textOf(streamOf(slow.body))
  old.finish()
  assert.equal(await rest, '127.0.0.1!', 'what was under way is not cut')
  await until('its connection is closed behind it', () => upstream.stats().active === 0)
  assert.equal(upstream.stats().idle, 1)
})

testEach('connections are spread over the addresses of a name', async (openTo) => {
  await using one = await startAt('127.0.0.1')
  await using two = await startAt('127.0.0.2', one.port)
  const names = createNames('127.0.0.1', '127.0.0.2')
  await using upstream = openTo(`http://app.test:${one.port}`, { resolution: names.resolution })
  const slow = () => upstream.forward(requestTo({ target: '/slow' }))
  const answers = await Promise.all([slow(), slow(), slow(), slow()])
  assert.deepEqual([one.opened(), two.opened()], [2, 2])
  for (const { body } of answers) streamOf(body).destroy()
})

testEach('while a name cannot be resolved, the last answer stands', async (openTo) => {
  await using app = await startAt('127.0.0.1')
  const names = createNames('127.0.0.1')
  await using upstream = openTo(`http://app.test:${app.port}`, { resolution: names.resolution })
  await get(upstream)
  names.answer = Object.assign(new Error('away'), { code: 'EAI_AGAIN' })
  const { asked } = names
  await until('it was asked in vain', () => names.asked > asked + 1)
  assert.equal(await get(upstream), '127.0.0.1')
})

testEach('a name that never had an address is an error of its own, and is asked for again', async (openTo) => {
  await using app = await startAt('127.0.0.1')
  const names = createNames()
  names.answer = Object.assign(new Error('nobody'), { code: 'ENOTFOUND' })
  const resolution = { ...names.resolution, refreshMs: 60_000 }
  await using upstream = openTo(`http://app.test:${app.port}`, { resolution })
  assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE dns_error')
  names.answer = ['127.0.0.1']
  assert.equal(await get(upstream), '127.0.0.1')
})
