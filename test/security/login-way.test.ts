import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { exchange, openStage, type Stage, statuses } from './stage.ts'

const config = `
hosts: [app.test]
upstreams: { app: { servers: ["APP"] } }
routes:
  - { id: pub, match: { path: /pub/* }, upstream: app, auth: public }
  - { id: signin, match: { path: [/login, /login/] }, upstream: app, auth: public }
  - { id: admin, match: { path: /admin/* }, upstream: app, auth: required }
`

describe('the way to the login and back', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(config)
  })
  after(() => stage[Symbol.asyncDispose]())
  const send = (line: string, lines: readonly string[] = ['Host: app.test']): Promise<string> =>
    exchange(stage.gateway.port, [line, ...lines, 'Connection: close', 'Accept: application/json', '', ''].join('\r\n'))

  const navigations: [lines: string[], method: string, status: number][] = [
    [['Sec-Fetch-Mode: navigate'], 'GET', 302],
    [['Sec-Fetch-Mode: navigate'], 'POST', 303],
    [['Sec-Fetch-Mode: cors', 'Accept: text/html'], 'GET', 401],
    [['X-Requested-With: XMLHttpRequest', 'Accept: text/html'], 'GET', 401],
    [['Accept: text/html;q=0, application/json'], 'GET', 401],
    [['Accept: application/xhtml+xml, text/html;q=0.5'], 'POST', 303],
    [['Accept: */*'], 'GET', 302],
    [['Accept: */*'], 'POST', 401],
    [['Accept: application/json, */*'], 'GET', 401],
    [[], 'GET', 302],
    [[], 'HEAD', 302],
    [['Upgrade: foo', 'Accept: text/html'], 'GET', 401],
  ]
  for (const [lines, method, status] of navigations) {
    test(`${method} with ${lines.join(', ') || 'no Accept'} is answered with ${status}`, async () => {
      const length = method === 'POST' ? ['Content-Length: 0'] : []
      const head = [
        `${method} /admin/a?b=1&c HTTP/1.1`,
        'Host: app.test',
        'Connection: close',
        ...lines,
        ...length,
        '',
        '',
      ]
      const came = await exchange(stage.gateway.port, head.join('\r\n'))
      assert.deepEqual(statuses(came), [status])
      assert.match(came, /^Vary: Cookie\r$/m)
      assert.match(came, /^Cache-Control: no-store\r$/m)
      if (status === 401) {
        assert.match(came, /WWW-Authenticate: Session realm="sessiongate"\r\n/)
        assert.match(came, /"login":"\/login\?next=/)
      } else {
        const next = method === 'POST' ? '%2F' : '%2Fadmin%2Fa%3Fb%3D1%26c'
        assert.match(came, new RegExp(`^Location: /login\\?next=${next}\\r$`, 'm'))
      }
    })
  }

  test('a return address that leads elsewhere is never written, and never reaches the login', async () => {
    const referers: [string, string][] = [
      ['http://app.test/pub/form?x=1', '%2Fpub%2Fform%3Fx%3D1'],
      ['http://evil.test/pub', '%2F'],
      ['http://app.test@evil.test/', '%2F'],
      ['http://app.test//evil.test/', '%2F'],
      ['https://app.test/pub', '%2F'],
      ['javascript:alert(1)', '%2F'],
    ]
    for (const [referer, next] of referers) {
      const lines = ['Host: app.test', `Referer: ${referer}`, 'Sec-Fetch-Mode: navigate', 'Content-Length: 0']
      assert.match(
        await send('POST /admin HTTP/1.1', lines),
        new RegExp(`^Location: /login\\?next=${next}\\r$`, 'm'),
        referer,
      )
    }
    const long = await send(`GET /admin/${'a'.repeat(2100)} HTTP/1.1`, ['Host: app.test', 'Sec-Fetch-Mode: navigate'])
    assert.match(long, /^Location: \/login\r$/m)
    const evil = [
      '//evil',
      'https://evil',
      '/\\evil',
      '%2F%2Fevil',
      '%252F%252Fevil',
      '/%09/evil',
      '/%0a/evil',
      '/..//evil',
      'javascript:x',
      '%5C%5Cevil',
      'http:evil',
      '/%5Cevil',
      '/a%2F%2Fevil',
      'https:evil.test',
      '',
      '/%00',
      '%E3%80%82',
    ]
    for (const [at, value] of evil.entries()) {
      for (const name of ['next', 'Next', 'n%65xt', 'next[]', '%6eext']) {
        const target = `/login?n=${at}&${name}=${value}&k=1`
        const came = await send(`GET ${target} HTTP/1.1`)
        if (value.includes('\\') && statuses(came)[0] === 400) continue
        assert.equal(statuses(came)[0], 200, target)
        const got = stage.app.requests.at(-1)?.url
        assert.equal(got, `/login?n=${at}&${name}=/&k=1`, target)
      }
    }
    for (const path of ['/login/', '/login;x', '/%6cogin']) {
      const came = await send(`GET ${path}?next=//evil HTTP/1.1`)
      if (statuses(came)[0] === 200) assert.equal(stage.app.requests.at(-1)?.url, `${path}?next=/`)
    }
    await send('GET /login?next=/pub/a%3Fb%3D1 HTTP/1.1')
    assert.equal(stage.app.requests.at(-1)?.url, '/login?next=/pub/a%3Fb%3D1')
  })
})
