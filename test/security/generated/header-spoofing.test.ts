/**
 * 50,000 ways to claim in headers to be somebody, on every kind of route and answer. Whatever of them reaches an app, none
 * may stand in a line that the app believes, however the app spells its names.
 */
import assert from 'node:assert/strict'
import { createHmac, hkdfSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { startGateway } from '../../support/gateway.ts'
import { sendAll } from '../../support/pipelining-client.ts'
import { createRandom, type Random } from '../../support/random.ts'
import { createForgeries, type Forgery, isBelieved } from './header-forgeries.ts'
import { chosenSeed, counted, share, type Tally } from './tally.ts'

const seed = chosenSeed()
const secret = 's'.repeat(50)

const routes = `
hosts: [app.test]
keys: [{ id: a, secret: "${secret}" }]
session: { secret_key: "${'k'.repeat(50)}" }
upstreams:
  app: { servers: ["APP"], writeback: { allow: ["*"] } }
  passing: { servers: ["APP"], session_cookie: pass }
routes:
  - { id: none, match: { path: /none/* }, upstream: app, session: none }
  - { id: public, match: { path: /public/* }, upstream: app, auth: public, cors_preflight: allow }
  - { id: named, match: { path: /named/* }, upstream: app, headers: { session: { X-User-Name: userInfo.name, User.Role: userInfo.role }, request: { X-Env: prod } } }
  - { id: ruled, match: { path: /ruled/* }, upstream: app, allow: 'request.client_ip == "127.0.0.1" && !("x-user-name" in request.headers)' }
  - { id: observed, match: { path: /observed/* }, upstream: app, auth: required, mode: observe }
  - { id: passing, match: { path: /passing/* }, upstream: passing }
  - { id: kept, match: { path: /kept/* }, upstream: app, method_overrides: keep }
  - { id: moved, match: { path: /moved/* }, upstream: app, rewrite: { strip_prefix: /moved, add_prefix: /to } }
  - { id: guarded, match: { path: /guarded/* }, upstream: app, auth: required }
  - { id: posted, match: { path: /posted/*, method: [LOCK] }, upstream: app }
  - { id: login, match: { path: [/login, /login/] }, upstream: app, auth: public }
`

const open = [
  '/none/',
  '/public/',
  '/named/',
  '/named/',
  '/ruled/',
  '/observed/',
  '/passing/',
  '/kept/',
  '/moved/',
  '/login',
]
/** Answered by the gateway itself: the app hears nothing of it. */
const closed = ['/guarded/', '/posted/', '/nowhere', '/.well-known/sessiongate/jwks.json', '/.sessiongate/logout']
const methods = ['GET', 'GET', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PATCH']

interface Case {
  readonly bytes: string
  readonly method: string
  readonly isClosed: boolean
}

function caseOf(number: number, { random, forge }: { random: Random; forge: () => Forgery }): Case {
  const { lines, trailers } = forge()
  const isClosed = random.chance(0.1)
  const isForeignHost = isClosed && random.chance(0.2)
  const path = `${random.pick(isClosed ? closed : open)}${random.chance(0.5) ? '' : '?q'}`
  const kind = random.below(20)
  const isHandshake = kind === 0 && trailers === undefined
  const isPreflight = kind === 1 && trailers === undefined
  const method = trailers !== undefined ? 'POST' : isHandshake ? 'GET' : isPreflight ? 'OPTIONS' : random.pick(methods)
  const hasBody = method !== 'GET' && method !== 'HEAD' && !isPreflight
  const own = [
    `Host: ${isForeignHost ? 'elsewhere.test' : 'app.test'}`,
    `N: ${number}`,
    `Answer: ${random.pick([200, 200, 204, 302, 404, 500])}`,
    `Accept: ${random.pick(['text/html', 'application/json'])}`,
    ...(trailers !== undefined ? ['Transfer-Encoding: chunked'] : hasBody ? ['Content-Length: 4'] : []),
    ...(isHandshake
      ? [
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        ]
      : []),
    ...(isPreflight ? ['Origin: http://other.test', 'Access-Control-Request-Method: PUT'] : []),
  ].map((line) => `${line}\r\n`)
  const at = random.below(own.length + 1)
  const head = [...own.slice(0, at), lines, ...own.slice(at)].join('')
  const body = trailers !== undefined ? `4\r\nbody\r\n0\r\n${trailers}\r\n` : hasBody ? 'body' : ''
  return { bytes: `${method} ${path} HTTP/1.1\r\n${head}\r\n${body}`, method, isClosed }
}

interface Look {
  readonly believed: Tally
  readonly missing: Tally
  readonly fromStranger: boolean
}

/** Looks at one request as the app got it. */
function inspect(request: IncomingMessage, sent: Case | undefined, { believed, missing, fromStranger }: Look): void {
  const { rawHeaders, url = '' } = request
  const told = (): string => `${JSON.stringify(sent?.bytes)} went up with ${JSON.stringify(rawHeaders)}`
  if (sent?.isClosed !== false) believed.broken(told())
  const lines = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ''] as const] : []))
  const peer = { fromStranger, keepsOverrides: url.startsWith('/kept/') }
  const isForged = lines.some(([name, value]) => value.includes('forged') && isBelieved(name, peer))
  const hasCookie = lines.some(
    ([name, value]) => name.toLowerCase() === 'cookie' && /(?:^|;)\s*sessionid\s*=/.test(value),
  )
  if (isForged || hasCookie) believed.broken(told())
  missing.look(hasOurs(lines, { url, fromStranger }), told)
}

/** Ours stand there once each, and say what the gateway knows: nobody is logged in, and who called from where. */
function hasOurs(
  lines: readonly (readonly [string, string])[],
  { url, fromStranger }: { url: string; fromStranger: boolean },
): boolean {
  const values = (name: string): string[] =>
    lines.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value)
  const hasForwarded =
    !fromStranger ||
    [
      ['x-forwarded-for', '127.0.0.1'],
      ['x-forwarded-proto', 'http'],
      ['x-forwarded-host', 'app.test'],
    ].every(([name = '', value]) => values(name).join('\n') === value)
  const ids = values('x-request-id')
  const assertions = values('x-session-assertion')
  if (!hasForwarded || ids.length !== 1 || values('traceparent').length !== 1 || values('host').join() !== 'app.test')
    return false
  if (url.startsWith('/none/')) return assertions.length === 0
  const environment = values('x-env')
  if (url.startsWith('/named/') ? environment.join() !== 'prod' : environment.length > 0) return false
  return assertions.length === 1 && isOwnWord(assertions[0] ?? '', url.startsWith('/passing/') ? 'passing' : 'app')
}

function isOwnWord(assertion: string, upstream: string): boolean {
  const [head = '', claims = '', signature = ''] = assertion.split('.')
  const key = Buffer.from(hkdfSync('sha256', secret, '', `sessiongate/assertion/${upstream}`, 32))
  const isSigned = createHmac('sha256', key).update(`${head}.${claims}`).digest('base64url') === signature
  return isSigned && JSON.parse(Buffer.from(claims, 'base64url').toString()).auth === false
}

async function attack(
  t: TestContext,
  { config, count, look }: { config: string; count: number; look: Look },
): Promise<void> {
  const cases = new Map<number, Case>()
  const server = createServer((request, response) => {
    inspect(request, cases.get(Number(request.headers.n)), look)
    request.resume().on('end', () => {
      if (Object.keys(request.trailers).length > 0)
        look.believed.broken(`trailers: ${JSON.stringify(request.rawTrailers)}`)
      const status = Number(request.headers.answer ?? 200)
      response.writeHead(status, status === 204 ? [] : ['Content-Length', '0']).end()
    })
  })
  server.on('upgrade', (request, socket) => {
    inspect(request, cases.get(Number(request.headers.n)), look)
    socket.end('HTTP/1.1 426 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const statuses = new Map<number, number>()
  try {
    await using gateway = await startGateway({
      config: `admin: off\n${config}${routes.replaceAll('APP', origin)}`,
      onRequestLine: () => undefined,
    })
    const random = createRandom(seed)
    const forge = createForgeries(random)
    function* forged(): Generator<Case & { readonly number: number }> {
      for (let number = 0; number < count; number += 1) {
        const made = caseOf(number, { random, forge })
        cases.set(number, made)
        yield { ...made, number }
      }
    }
    let answered = 0
    await sendAll(gateway.port, forged(), (_, answer) => {
      answered += 1
      look.believed.looks += 1
      const status = answer?.status ?? 0
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    })
    assert.equal(answered, count)
    assert.equal(gateway.process.exitCode, null, gateway.stderr().slice(-3000))
    assert.doesNotMatch(gateway.stderr(), /^\s+at |Uncaught|Unhandled/m)
  } finally {
    server.closeAllConnections()
    server.close()
  }
  t.diagnostic(
    [...statuses]
      .sort(([a], [b]) => a - b)
      .map(([status, times]) => `${status}: ${times}`)
      .join(', '),
  )
  assert.ok(look.missing.looks > count / 3, `only ${look.missing.looks} of ${count} went up`)
}

describe('nobody tells an app in headers who he is', () => {
  const peers: [who: string, config: string, whole: number][] = [
    ['a stranger', '', 40_000],
    ['somebody behind a trusted proxy', 'trusted_proxies: [127.0.0.0/8]\n', 10_000],
  ]
  for (const [who, config, whole] of peers) {
    test(`not ${who}`, async (t) => {
      const about = { unit: 'requests at the app', seed }
      await counted(t, { unit: 'forgeries', seed, promise: `headers of ${who} that an app believes` }, (believed) =>
        counted(t, { ...about, promise: `headers of the gateway that ${who} took away or changed` }, (missing) =>
          attack(t, { config, count: share(whole), look: { believed, missing, fromStranger: who === 'a stranger' } }),
        ),
      )
    })
  }
})
