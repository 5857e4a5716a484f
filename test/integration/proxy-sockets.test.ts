import assert from 'node:assert/strict'
import { DescriptorBudget } from '../../src/lib/descriptor-budget.ts'
import type { Upstream } from '../../src/proxy/upstream.ts'
import { until } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { createClient, failureOf, requestTo, testEach, textOf } from '../support/proxied.ts'

/** Room for sixteen files: six sockets to apps. */
const SIX = 16

const get = async (upstream: Upstream, target = '/') => textOf((await upstream.forward(requestTo({ target }))).body)

testEach('where there is no room for a connection, nothing is sent, and the server is not blamed', async (openTo) => {
  const answers: (() => void)[] = []
  await using app = await startApp((request, response) => {
    if (request.url === '/') response.end('at once')
    else answers.push(() => response.end('late'))
  })
  const sockets = new DescriptorBudget(SIX).openRoom()
  await using upstream = openTo(app.origin, { sockets, retries: 2 })
  const waiting = Array.from({ length: 6 }, () => get(upstream, '/late'))
  await until('all of them are with the app', () => answers.length === 6)
  for (let i = 0; i < 5; i++) {
    assert.equal(await failureOf(upstream.forward(requestTo())), 'ERR_OVERLOADED connection_limit_reached')
  }
  assert.deepEqual(
    upstream.servers().map(({ isUp, ejections }) => [isUp, ejections]),
    [[true, 0]],
  )
  for (const answer of answers) answer()
  assert.deepEqual(await Promise.all(waiting), new Array<string>(6).fill('late'))
  assert.equal(await get(upstream), 'at once')
})

testEach('a connection that nobody uses is closed for one to another server', async (openTo) => {
  const answers: (() => void)[] = []
  await using busy = await startApp((_, response) => void answers.push(() => response.end('busy')))
  await using other = await startApp((_, response) => response.end('other'))
  const budget = new DescriptorBudget(SIX)
  await using first = openTo(busy.origin, { sockets: budget.openRoom() })
  await using second = openTo(other.origin, { sockets: budget.openRoom() })
  const all = Array.from({ length: 5 }, () => get(first))
  await until('all of them are with the app', () => answers.length === 5)
  for (const answer of answers) answer()
  await Promise.all(all)
  assert.deepEqual([first.stats().idle, await get(second)], [5, 'other'])
  // Six are open now, and all of them unused.
  const more = Array.from({ length: 5 }, () => get(second))
  assert.deepEqual(await Promise.all(more), new Array<string>(5).fill('other'))
  await until('some were closed', () => first.stats().idle < 5)
})

testEach('what is closed makes room, however it ended', async (openTo) => {
  await using app = await startApp((request, response) => {
    if (request.url === '/reset') request.socket.resetAndDestroy()
    else if (request.url === '/close') response.writeHead(200, { Connection: 'close' }).end('closed')
  })
  const sockets = new DescriptorBudget(SIX).openRoom()
  await using upstream = openTo(app.origin, { sockets })
  await using nobody = openTo('http://127.0.0.1:1', { sockets })
  for (let i = 0; i < 20; i++) {
    assert.equal(
      await failureOf(upstream.forward(requestTo({ target: '/reset' }))),
      'ERR_UPSTREAM_UNREACHABLE connection_terminated',
    )
    assert.equal(await failureOf(nobody.forward(requestTo())), 'ERR_UPSTREAM_UNREACHABLE connection_refused')
    assert.equal(await get(upstream, '/close'), 'closed')
    const client = createClient()
    const left = upstream.forward(requestTo({ target: '/never', client }))
    left.catch(() => undefined)
    await until('it is under way', () => upstream.stats().active + upstream.stats().pending > 0)
    client.leave()
    await assert.rejects(left)
    await until('all are closed', () => upstream.stats().active === 0)
  }
})
