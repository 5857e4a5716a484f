import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { endpoints } from '../../src/admin/endpoints.ts'
import { until } from '../support/deadline.ts'
import { startApp } from '../support/echo-upstream.ts'
import { startGateway } from '../support/gateway.ts'
import { putConfig, reloadBy } from '../support/reloads.ts'
import { ask, configOf, isPath, openStage, TOKEN } from './admin-stage.ts'

describe('who may ask', () => {
  test('nobody without the token, wherever he asks', async () => {
    await using stage = await openStage()
    for (const { method, path } of [
      ...endpoints,
      { method: 'GET', path: '/api/openapi.json' },
      { method: 'GET', path: '/api/requests' },
      { method: 'GET', path: '/api/nothing' },
    ]) {
      const body = method === 'POST' ? { body: {} } : {}
      for (const token of [null, 'x', `${TOKEN}x`, TOKEN.slice(1), '']) {
        const answer = await stage.ask(path, { method, token, ...body })
        assert.deepEqual([answer.status, answer.headers.get('www-authenticate')], [401, 'Bearer'], `${method} ${path}`)
      }
    }
  })

  test('no page of another site, no other host, no form', async () => {
    await using stage = await openStage()
    const reload = { body: {} }
    const strangers = [
      { headers: { 'sec-fetch-site': 'cross-site' }, status: 403 },
      { headers: { origin: 'http://evil.example' }, status: 403 },
      { headers: { origin: 'null' }, status: 403 },
      { headers: { 'content-type': 'text/plain' }, status: 415 },
      { headers: { 'content-type': 'application/x-www-form-urlencoded' }, status: 415 },
    ]
    for (const { headers, status } of strangers)
      assert.equal((await stage.ask('/api/reload', { ...reload, headers })).status, status, JSON.stringify(headers))
    assert.equal(
      (await stage.ask('/api/reload', { ...reload, headers: { origin: stage.gateway.operatorUrl } })).status,
      200,
    )
    await stage.gateway.logged('the audit line', ({ msg }) => msg === 'audit')
    assert.equal(stage.gateway.log.filter(({ msg }) => msg === 'audit').length, 1)
  })

  test('nobody where the configuration names no token', async () => {
    await using app = await startApp((_, response) => response.end())
    await using gateway = await startGateway({ config: configOf(app.origin).replace(`, token: ${TOKEN}`, '') })
    const answer = await ask(gateway, '/api/overview', {})
    assert.deepEqual(
      [answer.status, answer.body],
      [404, 'there is no /api without admin.token or admin.tls.client_ca\n'],
    )
  })

  test('a GET changes nothing: what does is refused to it', async () => {
    await using stage = await openStage()
    for (const { path } of endpoints.filter(({ method }) => method === 'POST')) {
      const answer = await stage.ask(path.replace('{upstream}', 'app'))
      const isAnotherToo = endpoints.some((one) => one.method === 'GET' && isPath(one.path, path))
      assert.ok(isAnotherToo || answer.status === 405, path)
      if (answer.status === 405) assert.equal(answer.headers.get('allow'), 'POST')
    }
  })
})

describe('what is not well-formed is told', () => {
  const cases = [
    { path: '/api/explain', body: {}, status: 400, tells: /method/ },
    { path: '/api/explain', body: { method: 'GET', url: '/', more: 1 }, status: 400, tells: /more/ },
    { path: '/api/explain', body: '[]', status: 400, tells: /no JSON object/ },
    { path: '/api/explain', body: '{', status: 400, tells: /no JSON object/ },
    { path: '/api/sessions/revoke', body: {}, status: 400, tells: /name ids/ },
    {
      path: '/api/sessions/revoke',
      body: { user: '1', ids: ['0123456789012345678901'] },
      status: 400,
      tells: /name ids/,
    },
    { path: '/api/sessions/revoke', body: { key: 'cart' }, status: 409, tells: /with a value/ },
    { path: '/api/sessions/revoke', body: ' '.repeat(70_000), status: 413, tells: /more than/ },
    { path: '/api/sessions?limit=0', status: 400, tells: /limit/ },
    { path: '/api/sessions?limit=1&limit=2', status: 400, tells: /twice/ },
    { path: '/api/sessions?key=a&value=b', status: 409, tells: /quotes/ },
    { path: '/api/sessions?key=a&value=1152921504606846977', status: 409, tells: /beyond 2\^53/ },
    { path: '/api/sessions/revoke', body: { key: 'a', value: 2 ** 60 }, status: 409, tells: /beyond 2\^53/ },
    { path: '/api/sessions?cursor=x', status: 409, tells: /begin again/ },
    { path: '/api/sessions/short', status: 400, tells: /22 characters/ },
    { path: '/api/sessions/0123456789012345678901', status: 404, tells: /no such thing/ },
    { path: '/api/upstreams/app/drain', body: { server: 'nobody' }, status: 404, tells: /no such thing/ },
    { path: '/api/upstreams/%E0%A4%A/drain', body: { server: 'nobody' }, status: 404, tells: /no such thing/ },
    { path: '/api/nothing', status: 404, tells: /openapi/ },
  ]
  test('with its status and its reason', async () => {
    await using stage = await openStage()
    for (const { path, body, status, tells } of cases) {
      const answer = await stage.ask(path, body === undefined ? {} : { body })
      assert.equal(answer.status, status, `${path} ${JSON.stringify(body)?.slice(0, 60)}`)
      assert.match(answer.body.detail, tells)
    }
  })
})

describe('sessions', () => {
  test('are found by user, by value and page by page, and shown without what is in them', async () => {
    await using stage = await openStage()
    for (const user of [1, 2, 2, 3, 4]) await stage.logIn(user)
    const all = await stage.ask('/api/sessions')
    assert.deepEqual([all.body.sessions.length, all.body.next, all.body.is_whole], [5, null, true])
    const his = (await stage.ask('/api/sessions?user=2')).body.sessions
    assert.deepEqual(
      his.map(({ user, names }: { user: string; names: string[] }) => [user, names.toSorted().slice(-2)]),
      [
        ['2', ['cart', 'userInfo']],
        ['2', ['cart', 'userInfo']],
      ],
    )
    const clerks = await stage.ask('/api/sessions?key=userInfo.role&value=%22clerk%22')
    assert.deepEqual(clerks.body.sessions.map(({ user }: { user: string }) => user).toSorted(), ['1', '3'])
    const first = (await stage.ask('/api/sessions?limit=3')).body
    const second = (await stage.ask(`/api/sessions?limit=3&cursor=${first.next}`)).body
    const ids = [...first.sessions, ...second.sessions].map(({ id }) => id)
    assert.deepEqual([ids.length, new Set(ids).size, second.next], [5, 5, null])
    const one = (await stage.ask(`/api/sessions/${his[0].id}`)).body
    assert.deepEqual([one.values_shown, one.data.cart, one.data.userInfo], [false, 'list of 1', 'object of 2'])
    const everything = JSON.stringify([all.body, one])
    assert.doesNotMatch(everything, /canary|clerk/)
  })

  test('are shown with their values where the configuration allows it', async () => {
    await using stage = await openStage('show_values')
    await stage.logIn(2)
    const [{ id }] = (await stage.ask('/api/sessions')).body.sessions
    const one = (await stage.ask(`/api/sessions/${id}`)).body
    assert.deepEqual([one.values_shown, one.data.cart, one.data.userInfo], [true, ['canary'], { id: 2, role: 'ops' }])
  })

  const ways = [
    { what: 'a user', body: async () => ({ user: '2' }), ends: [2, 2] },
    { what: 'a value', body: async () => ({ key: 'userInfo.role', value: 'clerk' }), ends: [1, 3] },
  ]
  for (const { what, body, ends } of ways) {
    test(`are ended for ${what}: exactly those, at once, also where they are kept in the process`, async () => {
      await using stage = await openStage()
      const users = [1, 2, 2, 3, 4]
      const cookies: string[] = []
      for (const user of users) cookies.push(await stage.logIn(user))
      for (const cookie of cookies) assert.equal(await stage.statusWith(cookie), 200)
      const answer = await stage.ask('/api/sessions/revoke', { body: await body() })
      assert.deepEqual([answer.status, answer.body.revoked], [200, ends.length])
      const statuses = await Promise.all(cookies.map((cookie) => stage.statusWith(cookie)))
      assert.deepEqual(
        statuses,
        users.map((user) => (ends.includes(user) ? 401 : 200)),
      )
      const line = await stage.gateway.logged('the audit line', ({ msg }) => msg === 'audit')
      assert.deepEqual([line.event, line.outcome, line['network.peer.address']], ['admin_revoke', 'done', '127.0.0.1'])
      assert.doesNotMatch(JSON.stringify(line), /clerk/)
    })
  }

  test('are ended by public id', async () => {
    await using stage = await openStage()
    const cookies = [await stage.logIn(1), await stage.logIn(2)]
    const [{ id }] = (await stage.ask('/api/sessions?user=1')).body.sessions
    assert.deepEqual((await stage.ask('/api/sessions/revoke', { body: { ids: [id] } })).body, { revoked: 1, ids: [id] })
    assert.deepEqual(await Promise.all(cookies.map((cookie) => stage.statusWith(cookie))), [401, 200])
    assert.equal((await stage.ask('/api/sessions/revoke', { body: { ids: [id] } })).body.revoked, 0)
  })
})

describe('the rest', () => {
  test('explains a request, as nobody and as somebody', async () => {
    await using stage = await openStage()
    const asNobody = (await stage.ask('/api/explain', { body: { method: 'GET', url: '/ops' } })).body
    assert.deepEqual([asNobody.route, asNobody.outcome, asNobody.status], ['ops', 'login', 302])
    await stage.logIn(1)
    await stage.logIn(2)
    const outcomes: string[] = []
    for (const user of [1, 2]) {
      const [{ id }] = (await stage.ask(`/api/sessions?user=${user}`)).body.sessions
      outcomes.push(
        (await stage.ask('/api/explain', { body: { method: 'GET', url: '/ops', session: id } })).body.outcome,
      )
    }
    assert.deepEqual(outcomes, ['ERR_FORBIDDEN', 'forwarded'])
    const unknown = { method: 'GET', url: '/', session: '0123456789012345678901' }
    assert.equal((await stage.ask('/api/explain', { body: unknown })).status, 409)
  })

  test('tells what runs, which routes, keys, upstreams and store there are', async () => {
    await using stage = await openStage()
    const overview = (await stage.ask('/api/overview')).body
    assert.deepEqual(
      [overview.ready, overview.mode, overview.listen],
      [true, 'enforce', [`127.0.0.1:${stage.gateway.port}`]],
    )
    assert.deepEqual(
      (await stage.ask('/api/routes')).body.map(({ id }: { id: string }) => id),
      ['login', 'ops', 'app'],
    )
    const keys: Record<string, unknown>[] = (await stage.ask('/api/keys')).body
    assert.deepEqual(
      keys.map(({ id, purpose, algorithm, signs, created }) => ({ id, purpose, algorithm, signs, created })),
      [
        { id: 'generated', purpose: 'assertions', algorithm: 'HS256', signs: true, created: null },
        { id: 'current', purpose: 'sessions', algorithm: 'HMAC-SHA256', signs: true, created: null },
      ],
    )
    await stage.logIn(1)
    const store = (await stage.ask('/api/store?count=true')).body
    assert.deepEqual([store.engine, store.up, store.sessions, store.expired], ['db', true, 1, 0])
    const { sessions, expired } = (await stage.ask('/api/store')).body
    assert.deepEqual([sessions, expired], [null, null])
    using database = new DatabaseSync(join(stage.gateway.folder, 'var/sessiongate.sqlite3'), { timeout: 5000 })
    const insert = database.prepare("INSERT INTO django_session VALUES (?, 'x', '2020-01-01 00:00:00')")
    for (let i = 0; i < 3; i++) insert.run(`over${i}`)
    const counted = async () => {
      const { body } = await stage.ask('/api/store?count=true')
      return [body.sessions, body.expired]
    }
    assert.deepEqual(await counted(), [1, 3])
    assert.deepEqual((await stage.ask('/api/store/clear-expired', { body: {} })).body, { cleared: 3 })
    assert.deepEqual(await counted(), [1, 0])
    const document = (await stage.ask('/api/openapi.json')).body
    assert.deepEqual(
      Object.keys(document.paths).toSorted(),
      [...new Set([...endpoints.map(({ path }) => path), '/api/requests'])].toSorted(),
    )
  })

  test('drains a server, so that the other gets everything, and takes it back', async () => {
    await using stage = await openStage()
    const server = '127.0.0.1:9'
    const { servers } = (await stage.ask('/api/upstreams')).body[0]
    assert.deepEqual(
      servers.map((one: { server: string }) => one.server),
      [stage.app.origin.slice('http://'.length), server],
    )
    assert.deepEqual((await stage.ask('/api/upstreams/app/drain', { body: { server } })).body, {
      server,
      drained: true,
    })
    for (let i = 0; i < 6; i++) assert.equal((await fetch(`${stage.gateway.url}/login`)).status, 200)
    const after = (await stage.ask('/api/upstreams')).body[0].servers[1]
    assert.deepEqual([after.drained, after.ejections], [true, 0])
    await stage.ask('/api/upstreams/app/resume', { body: { server } })
    assert.equal((await stage.ask('/api/upstreams')).body[0].servers[1].drained, false)
    const attempts = stage.gateway.log.filter(({ msg }) => msg === 'request').map((line) => line['upstream.attempts'])
    assert.deepEqual(
      attempts,
      Array.from({ length: 6 }, () => 1),
    )
  })

  test('tells where the file differs from what is in force, takes it, and says why it cannot', async () => {
    await using stage = await openStage()
    const { gateway, app } = stage
    const same = (await stage.ask('/api/configuration')).body
    assert.deepEqual([same.file.is_valid, same.file.differences], [true, []])
    assert.doesNotMatch(JSON.stringify(same), new RegExp(TOKEN))
    await reloadBy(gateway, () => putConfig(gateway, `${configOf(app.origin)}nonsense: 1\n`))
    const broken = (await stage.ask('/api/configuration')).body
    assert.deepEqual([broken.file.is_valid, broken.file.problems[0].line], [false, 10])
    const refused = (await stage.ask('/api/reload', { body: {} })).body
    assert.deepEqual([refused.taken, refused.problems[0].line, refused.hash], [false, 10, same.hash])
    await putConfig(gateway, configOf(app.origin, 'marked'))
    const taken = (await stage.ask('/api/reload', { body: {} })).body
    assert.equal(taken.taken, true)
    assert.notEqual(taken.hash, same.hash)
  })

  test('shows requests as they end, to as many as may watch', async () => {
    await using stage = await openStage()
    const watcher = new AbortController()
    const headers = { authorization: `Bearer ${TOKEN}` }
    const stream = await fetch(`${stage.gateway.operatorUrl}/api/requests`, { headers, signal: watcher.signal })
    assert.equal(stream.headers.get('content-type'), 'text/event-stream')
    let text = ''
    const reading = (async () => {
      for await (const chunk of stream.body ?? []) text += Buffer.from(chunk).toString()
    })().catch(() => undefined)
    await stage.logIn(7)
    await until('the request is told', () => text.includes('event: request'))
    const line = JSON.parse(/event: request\ndata: (.+)\n/.exec(text)?.[1] ?? '')
    assert.deepEqual([line['http.route'], line['http.response.status_code']], ['login', 200])
    watcher.abort()
    await reading
    const others = new AbortController()
    const all = Array.from({ length: 9 }, () =>
      fetch(`${stage.gateway.operatorUrl}/api/requests`, { headers, signal: others.signal }),
    )
    const statuses = (await Promise.all(all)).map(({ status }) => status)
    assert.ok(statuses.filter((status) => status === 409).length >= 1, String(statuses))
    others.abort()
  })
})
