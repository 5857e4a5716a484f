import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request as ask } from 'node:http'
import { describe, test } from 'node:test'
import { endpoints } from '../../src/admin/endpoints.ts'
import { until } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import type { TestGateway } from '../support/gateway.ts'
import { findFreePort } from '../support/postgres.ts'
import { putConfig, reloadBy } from '../support/reloads.ts'
import { pidsOf } from '../support/workers.ts'
import { ask as askApi, configOf, isPath, openStage, TOKEN } from './admin-stage.ts'

/** Connections that stay: the supervisor hands them to the workers in turn, so that each worker has some. */
function openConnections(gateway: TestGateway, count = 4) {
  const agents = Array.from({ length: count }, () => new Agent({ keepAlive: true, maxSockets: 1 }))
  return {
    /** The status of one request on each, in order. */
    async statuses(path: string, cookie = ''): Promise<(number | undefined)[]> {
      const statuses: (number | undefined)[] = []
      for (const [at, agent] of agents.entries()) {
        const sent = ask({ agent, port: gateway.port, path: `${path}?on=${at}`, headers: { cookie } }).end()
        const [response] = await once(sent, 'response')
        response.resume()
        await once(response, 'end')
        statuses.push(response.statusCode)
      }
      return statuses
    },
    [Symbol.dispose]() {
      for (const agent of agents) agent.destroy()
    },
  }
}

/** Ends one of the workers without a word, and waits for the one that takes its place. */
async function replaceWorker(gateway: TestGateway, at: number): Promise<void> {
  const starts = (): number => gateway.log.filter(({ msg }) => msg === 'worker started').length
  const before = starts()
  process.kill(pidsOf(gateway)[at] ?? assert.fail('there is no such worker'), 'SIGKILL')
  await until('another has started', () => starts() > before, 30_000)
}

const volatile = new Set([
  'started_at',
  'uptime_seconds',
  'config_hash',
  'hash',
  'listen',
  'latency_seconds',
  'expires_at',
  'signs_since',
  'counted_since',
  'at',
  'series',
])

/** What must be alike for one worker and for two: all but what no two gateways have in common. */
function comparable(body: unknown): unknown {
  return JSON.parse(
    JSON.stringify(body, (name, value) => {
      if (volatile.has(name)) return typeof value
      if (name === 'workers') return undefined
      if (typeof value !== 'string') return value
      return value
        .replace(/127\.0\.0\.1:\d+/g, 'HOST')
        .replace(/^[\w-]{22}$/, 'ID')
        .replace(/\/tmp\/[^/]+/, 'FOLDER')
    }),
  )
}

describe('two workers', () => {
  test('answer whatever is asked as one does', async () => {
    const questions: [path: string, body?: object][] = [
      ['/api/overview'],
      ['/api/history'],
      ['/api/routes'],
      ['/api/explain', { method: 'GET', url: '/ops' }],
      ['/api/explain', { method: 'GET', url: '/ops', session: 'ID' }],
      ['/api/sessions'],
      ['/api/sessions?user=2'],
      ['/api/sessions?key=userInfo.role&value=%22ops%22'],
      ['/api/sessions?key=userInfo.role&value=ops'],
      ['/api/sessions/ID'],
      ['/api/sessions/0123456789012345678901'],
      ['/api/upstreams'],
      ['/api/upstreams/app/drain', { server: '127.0.0.1:9' }],
      ['/api/upstreams/app/resume', { server: '127.0.0.1:9' }],
      ['/api/upstreams/app/drain', { server: 'nobody' }],
      ['/api/configuration'],
      ['/api/reload', {}],
      ['/api/keys'],
      ['/api/store?count=true'],
      ['/api/store/clear-expired', {}],
      ['/api/sessions/revoke', { key: 'cart', value: ['canary'] }],
      ['/api/sessions/revoke', { ids: ['ID'] }],
    ]
    for (const { method, path } of endpoints) {
      const isAsked = questions.some(
        ([asked, body]) => isPath(path, asked.split('?')[0] ?? '') && (body === undefined) === (method === 'GET'),
      )
      assert.ok(isAsked, `${method} ${path}`)
    }
    const answersOf = async (more: string): Promise<unknown[]> => {
      await using stage = await openStage(more)
      await stage.logIn(2)
      const [{ id }] = (await stage.ask('/api/sessions')).body.sessions
      const answers: unknown[] = []
      for (const [path, body] of questions) {
        const filled = body && { body: JSON.parse(JSON.stringify(body).replaceAll('"ID"', `"${id}"`)) }
        const { status, body: told } = await stage.ask(path.replace('ID', id), filled ?? {})
        answers.push([path, status, comparable(told)])
      }
      await stage.gateway.stop()
      assert.doesNotMatch(JSON.stringify([answers, stage.gateway.log]), /canary/)
      const audits = stage.gateway.log
        .filter(({ msg }) => msg === 'audit')
        .map(({ event, outcome }) => [event, outcome])
      return [...answers, audits]
    }
    const one = await answersOf('')
    const two = await answersOf('workers')
    // What only several can tell.
    const checks = JSON.stringify(two)
      .replace(/,"workers":"2\/2"/g, '')
      .replace(/"workers: 2/g, '"workers: 1')
    assert.deepEqual(JSON.parse(checks), one)
  })

  test('are told of: how many serve, who they are, and since when', async () => {
    await using stage = await openStage('workers')
    const { workers, checks } = (await stage.ask('/api/overview')).body
    const pids = workers.map(({ pid }: { pid: number }) => pid)
    assert.deepEqual(pids.toSorted(), pidsOf(stage.gateway).toSorted())
    assert.deepEqual([checks.workers, workers[0].worker, workers[0].ready], ['2/2', 0, true])
  })

  test('both refuse a session that is revoked, at once', async () => {
    await using stage = await openStage('workers')
    const [his, hers] = [await stage.logIn(1), await stage.logIn(2)]
    using connections = openConnections(stage.gateway)
    for (const cookie of [his, hers]) assert.deepEqual(await connections.statuses('/', cookie), [200, 200, 200, 200])
    const revoked = await stage.ask('/api/sessions/revoke', { body: { user: '1' } })
    assert.deepEqual([revoked.status, revoked.body.revoked], [200, 1])
    assert.deepEqual(await connections.statuses('/', his), [302, 302, 302, 302])
    assert.deepEqual(await connections.statuses('/', hers), [200, 200, 200, 200])
    await stage.gateway.logged('the audit line', ({ msg }) => msg === 'audit')
    assert.equal(stage.gateway.log.filter(({ msg }) => msg === 'audit').length, 1)
  })

  test('a list of sessions goes on in the worker that has begun it, and says so when that is gone', async () => {
    await using stage = await openStage('workers')
    for (const user of [1, 2, 3, 4, 5]) await stage.logIn(user)
    const lists = await Promise.all([1, 2].map(async () => (await stage.ask('/api/sessions?limit=2')).body))
    for (const first of lists) {
      const second = (await stage.ask(`/api/sessions?limit=4&cursor=${first.next}`)).body
      const ids = [...first.sessions, ...second.sessions].map(({ id }) => id)
      assert.deepEqual([ids.length, new Set(ids).size, second.next], [5, 5, null])
    }
    const { next } = (await stage.ask('/api/sessions?limit=2')).body
    const { workers } = (await stage.ask('/api/overview')).body
    const at = pidsOf(stage.gateway).indexOf(Number(next.split('.')[0]))
    assert.equal(workers.length, 2)
    await replaceWorker(stage.gateway, at)
    const lost = await stage.ask(`/api/sessions?cursor=${next}`)
    assert.deepEqual([lost.status, lost.body.detail], [409, 'no worker keeps this list any more; begin again'])
  })
})

test('a drained server gets nothing from any worker, neither from one that starts later nor under another configuration', async () => {
  let served = 0
  await using other = await startApp((_, response) => {
    served += 1
    response.end('other')
  })
  const config = (origin: string): string => configOf(origin, 'workers').replace('http://127.0.0.1:9', other.origin)
  await using stage = await openStage('workers')
  const { gateway, app } = stage
  await reloadBy(gateway, () => putConfig(gateway, config(app.origin)))
  const server = other.origin.slice('http://'.length)
  const servedOf = async (): Promise<number> => {
    const before = served
    using connections = openConnections(gateway, 8)
    assert.deepEqual(await connections.statuses('/login'), Array(8).fill(200))
    return served - before
  }
  const drainedOf = async (): Promise<unknown> => (await stage.ask('/api/upstreams')).body[0].servers[1].drained
  assert.equal(await servedOf(), 4)
  assert.equal((await stage.ask('/api/upstreams/app/drain', { body: { server } })).status, 200)
  assert.deepEqual([await servedOf(), await drainedOf()], [0, true])
  await replaceWorker(gateway, 1)
  assert.deepEqual([await servedOf(), await drainedOf()], [0, true])
  gateway.process.kill('SIGUSR2')
  await until('the roll to end', () => gateway.log.some(({ msg }) => msg === 'rolling restart ended'), 60_000)
  assert.deepEqual([await servedOf(), await drainedOf()], [0, true])
  await reloadBy(gateway, () =>
    putConfig(gateway, config(app.origin).replace('writeback:', 'timeouts: { connect: 3s }, writeback:')),
  )
  assert.deepEqual([await servedOf(), await drainedOf()], [0, true])
  await stage.ask('/api/upstreams/app/resume', { body: { server } })
  assert.deepEqual([await servedOf(), await drainedOf()], [4, false])
})

test('whoever watches sees the requests of all workers, of one too that starts later', async () => {
  await using stage = await openStage('workers')
  const { gateway } = stage
  const watcher = new AbortController()
  const headers = { authorization: `Bearer ${TOKEN}` }
  const stream = await fetch(`${gateway.operatorUrl}/api/requests`, { headers, signal: watcher.signal })
  let text = ''
  const reading = (async () => {
    for await (const chunk of stream.body ?? []) text += Buffer.from(chunk).toString()
  })().catch(() => undefined)
  // Who has answered that has heard of the watcher before.
  await stage.ask('/api/overview')
  const isSeen = async (path: string): Promise<void> => {
    using connections = openConnections(gateway)
    await connections.statuses(path)
    const told = (): number => text.split(`"url.path":"${path}"`).length - 1
    await until('all are told', () => told() >= 4)
    assert.equal(told(), 4)
  }
  await isSeen('/first')
  await replaceWorker(gateway, 0)
  await stage.ask('/api/overview')
  await isSeen('/second')
  const [, line = ''] = /event: request\ndata: (.+)\n/.exec(text) ?? []
  assert.equal(JSON.parse(line)['http.route'], 'app')
  watcher.abort()
  await reading
})

describe('the configuration of several workers', () => {
  test('is told with what is wrong in the file, which changes nothing', async () => {
    await using stage = await openStage('workers')
    const { gateway, app } = stage
    const { hash } = (await stage.ask('/api/configuration')).body
    await reloadBy(gateway, () => putConfig(gateway, `${configOf(app.origin, 'workers')}nonsense: 1\n`))
    const broken = (await stage.ask('/api/configuration')).body
    assert.deepEqual([broken.hash, broken.file.is_valid, broken.file.problems[0].line], [hash, false, 11])
    const refused = (await stage.ask('/api/reload', { body: {} })).body
    assert.deepEqual([refused.taken, refused.problems[0].line, refused.hash], [false, 11, hash])
    assert.equal((await fetch(`${gateway.url}/login`)).status, 200)
    await reloadBy(gateway, () => putConfig(gateway, configOf(app.origin, 'workers marked')))
    const taken = (await stage.ask('/api/configuration')).body
    assert.deepEqual([taken.file.is_valid, taken.file.differences, taken.hash === hash], [true, [], false])
  })

  for (const workers of ['', 'workers']) {
    test(`may place the operator elsewhere: who asks for it by the API is answered, ${workers === '' ? 'by one process' : 'by several'}`, async () => {
      await using stage = await openStage(workers)
      const { gateway, app } = stage
      const address = `127.0.0.1:${await findFreePort()}`
      const moved = configOf(app.origin, workers).replace(
        'admin: { listen: "127.0.0.1:0"',
        `admin: { listen: "${address}"`,
      )
      await reloadBy(gateway, () => putConfig(gateway, `${moved}nonsense: 1\n`))
      await putConfig(gateway, moved)
      // The file is watched: it may be taken before it is asked for, and the old address is gone then.
      await stage.ask('/api/reload', { body: {} }).then(
        ({ body }) => assert.equal(body.taken, true),
        (error: unknown) => assert.match(String((error as Error).cause), /ECONNREFUSED/),
      )
      await gateway.logged('the configuration to be taken', ({ msg }) => msg === 'configuration reloaded')
      const there = { ...gateway, operatorUrl: `http://${address}` }
      assert.equal((await askApi(there, '/api/overview', {})).body.ready, true)
      assert.equal((await askApi(there, '/api/overview', { token: 'another' })).status, 401)
      await assert.rejects(fetch(`${gateway.operatorUrl}/livez`))
    })
  }

  test('may close the API, or have probes of its own', async () => {
    await using stage = await openStage('workers')
    const { gateway, app } = stage
    const address = `127.0.0.1:${await findFreePort()}`
    const config = `${configOf(app.origin, 'workers').replace(`, token: ${TOKEN}`, '')}probes: { listen: "${address}" }\n`
    await reloadBy(gateway, () => putConfig(gateway, config))
    const answer = await stage.ask('/api/overview')
    assert.deepEqual(
      [answer.status, answer.body],
      [404, 'there is no /api without admin.token or admin.tls.client_ca\n'],
    )
    assert.equal((await fetch(`http://${address}/readyz`)).status, 200)
    assert.equal((await fetch(`http://${address}/api/overview`)).status, 404)
  })
})
