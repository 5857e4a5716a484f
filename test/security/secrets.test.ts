import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { exchange, openRows, openStage, type Stage } from './stage.ts'

const canary = (name: string): string => `CANARY${name}CANARY`.padEnd(50, 'x')
const secretKey = canary('secretkey')
const signingSecret = canary('signingsecret')

const config = `
session: { secret_key: "\${SECRET}", auth_key: userInfo }
keys: [{ id: k1, secret: "\${file:signing.key}" }]
signing: { max_bytes: 2000 }
upstreams:
  app: { servers: ["APP"], writeback: { allow: [userInfo, cart] }, timeouts: { first_byte: 1s } }
  dead: { servers: ["http://127.0.0.1:1"] }
routes:
  - { id: dead, match: { path: /dead/* }, upstream: dead, auth: optional }
  - { id: guarded, match: { path: /guarded/* }, upstream: app, auth: required, allow: 'session.userInfo.role == "CANARYruleCANARY" && session.userInfo.missing.x' }
  - { id: app, match: { path: /* }, upstream: app, auth: optional, headers: { session: { X-User-Name: userInfo.name } } }
`

describe('secrets stay where they belong', () => {
  let stage: Stage
  const answers: string[] = []
  const keys = new Set<string>()
  before(async () => {
    stage = await openStage(config, { env: { SECRET: secretKey }, files: { 'signing.key': signingSecret } })
  })
  after(() => stage[Symbol.asyncDispose]())
  async function send(target: string, lines: readonly string[] = []): Promise<string> {
    const came = await exchange(
      stage.gateway.port,
      [`GET ${target} HTTP/1.1`, 'Host: x', 'Connection: close', ...lines, '', ''].join('\r\n'),
    )
    for (const [, key] of came.matchAll(/sessionid=([a-z0-9]{32});/g)) if (key !== undefined) keys.add(key)
    answers.push(came.replace(/Set-Cookie: .*/g, '').replace(/"rawHeaders".*/s, ''))
    return came
  }

  test('not one of them is in a log line, on stderr, in the metrics or on an error page', async () => {
    const data = JSON.stringify({
      userInfo: { name: canary('value'), id: 1, role: 'CANARYroleCANARY' },
      cart: 'CANARYcartCANARY',
    })
    const came = await send('/login', [`Say: X-Session-Set: ${data}`])
    const key = /sessionid=([a-z0-9]{32});/.exec(came)?.[1]
    assert.ok(key, came)
    const cookie = `Cookie: other=CANARYcookieCANARY; sessionid=${key}`
    const credentials = ['Authorization: Bearer CANARYauthorizationCANARY', 'Referer: http://x/?CANARYrefererCANARY']
    for (const target of [
      '/a?q=CANARYqueryCANARY',
      '/dead/a?CANARYqueryCANARY',
      '/guarded/a?CANARYqueryCANARY',
      '/a/../CANARY?',
      '/%zz',
      '/login?next=//CANARYqueryCANARY',
    ]) {
      await send(target, [cookie, ...credentials])
      await send(target, [cookie, ...credentials, 'Accept: text/html'])
      await send(target, [...credentials, 'Cookie: sessionid=CANARYunknown_key_CANARY'])
    }
    const said = [
      'X-Session-Set: {"cart":"CANARYmalformedCANARY"',
      'X-Session-Set: {"secret":"CANARYforbiddenCANARY"}',
      'X-Session-Set: {"cart":NaN,"x":"CANARYnanCANARY"}',
      `X-Session-Set: {"cart":"${'CANARYlarge'.repeat(400)}"}`,
      'X-Session-Expiry: CANARYexpiryCANARY',
      'X-Session-Command: CANARYcommandCANARY',
      'Set-Cookie: sessionid=CANARYcookieCANARY',
      'X-Session-Foo: CANARYheaderCANARY',
    ]
    for (const line of said) await send('/say', [cookie, `Say: ${line}`])
    const database = openRows(stage.gateway.folder)
    database.prepare('UPDATE django_session SET session_data = ? WHERE session_key = ?').run('CANARYrowCANARY', key)
    await send('/corrupt', [cookie])
    database.exec('ALTER TABLE django_session RENAME TO hidden')
    const down = await send('/down', [cookie])
    assert.match(down, /^HTTP\/1.1 503 /)
    assert.doesNotMatch(down, /Set-Cookie/)
    assert.match(down, /^Retry-After: \d+\r$/m)
    assert.match(await send('/down'), /^HTTP\/1.1 200 /)
    database.exec('ALTER TABLE hidden RENAME TO django_session')
    database.close()
    await exchange(stage.gateway.port, `GARBAGE CANARYgarbageCANARY ${key}\r\n\r\n`)
    await exchange(
      stage.gateway.port,
      `GET /x HTTP/1.1\r\nHost: x\r\nCookie: sessionid=${key}\r\nCookie: ${'CANARY'.repeat(4000)}\r\n\r\n`,
    )

    const metrics = await (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()
    const ready = await (await fetch(`${stage.gateway.operatorUrl}/readyz`)).text()
    await stage.gateway.stop()
    const places = {
      log: JSON.stringify(stage.gateway.log),
      stderr: stage.gateway.stderr(),
      metrics,
      ready,
      answers: answers.join('\n'),
    }
    for (const [place, text] of Object.entries(places)) {
      const found = [...text.matchAll(/CANARY\w*?CANARY/g)].map(([word]) => word)
      const isInPath = (word: string): boolean => word === 'CANARYqueryCANARY' && place === 'answers'
      assert.deepEqual(
        found.filter((word) => !isInPath(word)),
        [],
        place,
      )
      for (const known of keys) assert.equal(text.includes(known), false, `a session key in ${place}`)
      assert.equal(text.includes(secretKey) || text.includes(signingSecret), false, place)
      assert.doesNotMatch(text, /eyJ[\w-]{20,}\.[\w-]+\.[\w-]+/, `an assertion in ${place}`)
    }
    assert.doesNotMatch(stage.gateway.stderr(), /Error|Unhandled/)
  })
})

describe('what strangers send does not grow the gateway’s own books', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(config, { env: { SECRET: secretKey }, files: { 'signing.key': signingSecret } })
  })
  after(() => stage[Symbol.asyncDispose]())
  /** The names with their labels, of ours: the runtime's own appear as its collector first does this or that. */
  async function series(): Promise<ReadonlySet<string>> {
    const text = await (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()
    return new Set([...text.matchAll(/^(sessiongate_\S+) /gm)].map(([, name]) => name ?? ''))
  }
  async function refusals(): Promise<number> {
    const text = await (await fetch(`${stage.gateway.operatorUrl}/metrics`)).text()
    return [...text.matchAll(/^sessiongate_http_requests_total\{[^}]*\} (\d+)$/gm)].reduce(
      (sum, [, n]) => sum + Number(n),
      0,
    )
  }
  const odd = (i: number): string =>
    [
      `${['GET', 'POST', 'PROPFIND', 'M-SEARCH', 'PURGE', `X${i}`][i % 6]} /p${i}/\x22?${i} HTTP/1.1`.replace(
        '\x22',
        '',
      ),
      `Host: h${i}.test`,
      `Cookie: sessionid=${i}aaaaaaaaaa`,
      `User-Agent: \x1b[31m${i}\xe2\x80\xa8"}{\\`,
      `X-Request-Id: r${i}`,
      'Connection: close',
      'Content-Length: 0',
      '',
      '',
    ].join('\r\n')

  test('the series of the metrics stay as many as they are, and each log line is one JSON object', async () => {
    for (let i = 0; i < 60; i++) await exchange(stage.gateway.port, odd(i))
    const before = await series()
    for (let i = 60; i < 560; i += 10)
      await Promise.all(Array.from({ length: 10 }, (_, j) => exchange(stage.gateway.port, odd(i + j))))
    assert.deepEqual([...(await series()).difference(before)], [])
    assert.ok((await refusals()) >= 560)
    await stage.gateway.stop()
    const agents = stage.gateway.log.filter((line) => line.msg === 'request')
    // What the parser refuses has at most so many lines in ten seconds, and the metrics count all of it.
    assert.ok(agents.length >= 100)
  })
})
