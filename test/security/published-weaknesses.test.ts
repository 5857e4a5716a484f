/** Weaknesses published for programs of this kind that no other file is about; the ids are those of `catalogue-rows.ts`. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { digestHeaders } from '../../src/assertion/plain-headers.ts'
import { readSource } from '../../src/config/source.ts'
import { parseSessionData } from '../../src/django/json.ts'
import { GatewayError } from '../../src/errors.ts'
import { compileExpression, ExpressionError } from '../../src/rules/expressions.ts'
import { compileRouteTable } from '../../src/rules/route-table.ts'
import { publicAccess, requiredAccess, route, targetOf } from '../unit/rules/samples.ts'
import { exchange, openRows, openStage, type Stage, statuses } from './stage.ts'

const hostNames = Array.from({ length: 150 }, (_, i) => `host-${i}.test`)

test('A09: each of 150 hosts is one host in any case', () => {
  const routes = hostNames.map((name) => route(name, { match: { hosts: [name] } }))
  const table = compileRouteTable(routes, [])
  for (const name of hostNames) {
    for (const host of [name, name.toUpperCase(), name.replace('host', 'HoSt')]) {
      assert.equal(table.select({ method: 'GET', host, target: targetOf('/') }).id, name)
    }
  }
})

test('A14: a guarded path is guarded with and without its final slash, however both rules are written', () => {
  let pairs = 0
  for (const name of ['admin', 'Admin', 'a.b', 'ad-min', '%61dmin', 'a~', 'v1', 'müller', 'a@b', 'x,y']) {
    for (const base of ['', '/base', '/base/deep']) {
      for (const form of ['', '/', '/*']) {
        for (const open of [['/*'], [`${base}/*`, '/*'], [`${base}/${name}x/*`, '/*']]) {
          const guarded = route('guarded', { match: { paths: [`${base}/${name}${form}`] }, access: requiredAccess })
          const rest = route('open', { match: { paths: open }, access: publicAccess })
          const table = compileRouteTable([guarded, rest], [])
          pairs += 1
          for (const end of ['', '/', ';x', '/;x', '%20']) {
            const target = targetOf(`${base}/${encodeURI(name).replaceAll('%25', '%')}${end}`)
            assert.notEqual(chosen(table, target), 'open', `${name}${form} and ${open}, asked for with ${end}`)
          }
        }
      }
    }
  }
  assert.ok(pairs > 200)
})

function chosen(table: ReturnType<typeof compileRouteTable>, target: ReturnType<typeof targetOf>): string {
  try {
    return table.select({ method: 'GET', host: 'app.example', target }).id
  } catch (error) {
    assert.ok(error instanceof GatewayError)
    return error.code
  }
}

describe('through a gateway', () => {
  let stage: Stage
  before(async () => {
    stage = await openStage(`
upstreams: { app: { servers: ["APP"], writeback: { allow: ["*"] } } }
routes:
  - { id: failing, match: { path: /failing }, upstream: app, allow: 'session.a.b.c == 1 / session.nothing' }
  - { id: dividing, match: { path: /dividing }, upstream: app, allow: '1 / (size(session) - size(session)) == 1 || true == session.x' }
  - { id: guarded, match: { path: /guarded/* }, upstream: app, auth: required, csrf: same-site, limits: { body: 10 } }
  - { id: app, match: { path: /* }, upstream: app }
`)
  })
  after(() => stage[Symbol.asyncDispose]())

  test('A18: whatever step fails, nobody is let in', async () => {
    const failing: [step: string, request: string][] = [
      ['framing', 'POST /guarded/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na'],
      ['host', 'GET /guarded/x HTTP/1.1\r\nHost: x:99999\r\n\r\n'],
      ['target', 'GET /guarded/%zz HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['route', 'GET /guarded/..%2f..%2fx HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['origin', 'POST /guarded/x HTTP/1.1\r\nHost: x\r\nOrigin: http://[\r\nContent-Length: 0\r\n\r\n'],
      ['length', 'POST /guarded/x HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world'],
      ['cookie', `GET /guarded/x HTTP/1.1\r\nHost: x\r\nCookie: sessionid=${'\xff'.repeat(40)}\r\n\r\n`],
      ['rule', 'GET /failing HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['rule', 'GET /dividing HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['handshake', 'GET /guarded/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ]
    const seen = stage.app.requests.length
    const closing = 'Connection: close\r\n\r\n'
    for (const [step, request] of failing) {
      const came = await exchange(stage.gateway.port, request.replace('\r\n\r\n', `\r\n${closing}`))
      assert.ok((statuses(came)[0] ?? 0) >= 300, `${step}: ${came.slice(0, 100)}`)
    }
    const database = openRows(stage.gateway.folder)
    database.exec('ALTER TABLE django_session RENAME TO hidden')
    for (const path of ['/guarded/x', '/failing', '/']) {
      const request = `GET ${path} HTTP/1.1\r\nHost: x\r\nCookie: sessionid=${'a'.repeat(32)}\r\n${closing}`
      assert.deepEqual(statuses(await exchange(stage.gateway.port, request)), [503])
    }
    database.exec('ALTER TABLE hidden RENAME TO django_session')
    database.close()
    assert.equal(stage.app.requests.length, seen)
  })

  test('D01: however many header lines there are, the one that frames the body is seen or the request refused', async () => {
    const seen = stage.app.requests.length
    for (const count of [100, 101, 1999, 2000, 2001, 5000]) {
      for (const framing of ['Content-Length: 40', 'Transfer-Encoding: chunked']) {
        const head = `POST /many HTTP/1.1\r\nHost: x\r\n${'A:\r\n'.repeat(count - 1)}${framing}\r\n\r\n`
        const came = await exchange(stage.gateway.port, `${head}GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n`)
        assert.ok(['400', '431'].includes(statuses(came).join()), `${count} lines: ${came.slice(0, 100)}`)
      }
    }
    assert.equal(stage.app.requests.length, seen)
  })

  test('D03: chunked is read in one spelling, with a length beside it or not', async () => {
    const odd = [
      ...['xchunked', 'chunkedx', '"chunked"', "'chunked'", 'chunked,', ',chunked', 'chunked, chunked', 'chunked;q=1'],
      ...[
        '\x0bchunked',
        'chunked\x0b',
        '\x0cchunked',
        'chu\tnked',
        'chunked\0',
        'identity',
        'chunked, identity',
        'gzip',
      ],
      ...[
        'identity, chunked',
        'cow',
        '',
        'chunked cow',
        'c\xadhunked',
        'chunke\u0064\xa0',
        'deflate, gzip',
        '\xa0chunked',
      ],
    ].map((value) => `Transfer-Encoding: ${value}`)
    const names = [
      'Transfer_Encoding',
      'Transfer.Encoding',
      'Transfer-Encoding ',
      ' Transfer-Encoding',
      'Transfer-Encoding\t',
    ]
    const lines = [
      ...odd,
      ...names.map((name) => `${name}: chunked`),
      ...[
        'Transfer-Encoding:\r\n chunked',
        'Transfer-Encoding: x\r\nTransfer-Encoding: chunked',
        'X: y\nTransfer-Encoding: chunked',
      ],
      ...[
        'Transfer-Encoding: chunked\r\nTransfer-Encoding: x',
        'X: y\rTransfer-Encoding: chunked',
        'Transfer-Encoding\0: chunked',
      ],
    ]
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n'
    for (const line of lines) {
      for (const length of ['', 'Content-Length: 5\r\n']) {
        const head = `POST /odd HTTP/1.1\r\nHost: x\r\n${length}${line}\r\n\r\n`
        const [status = 0, ...others] = statuses(await exchange(stage.gateway.port, `${head}0\r\n\r\n${smuggled}`))
        assert.ok([400, 501].includes(status) && others.length === 0, JSON.stringify(line))
      }
    }
    assert.equal(
      stage.app.requests.some(({ url }) => url === '/smuggled' || url === '/odd'),
      false,
    )
  })
})

test('B08: no two lists of plain headers have the same digest', () => {
  const name = fc.stringMatching(/^[a-z-]{1,3}$/)
  const value = fc.stringMatching(/^[!-~]{0,3}$/).filter((text) => !text.includes('%'))
  const list = fc.uniqueArray(fc.tuple(name, value), { maxLength: 3, selector: ([key]) => key })
  const ordered = (lines: readonly (readonly [string, string])[]): string =>
    JSON.stringify(lines.toSorted(([a], [b]) => (a < b ? -1 : 1)))
  fc.assert(
    fc.property(list, list, (a, b) => {
      const isSame = ordered(a) === ordered(b)
      assert.equal(digestHeaders(a.flat()).hdr === digestHeaders(b.flat()).hdr, isSame)
    }),
    { numRuns: 5000 },
  )
})

test('E15: the worst keys that fit into a session are read at once', () => {
  const members = Array.from({ length: 3000 }, (_, i) => `"${4_294_967_296 + i * 65_536}":0`)
  const startedMs = performance.now()
  assert.equal(parseSessionData(`{${members.join(',')}}`)?.size, 3000)
  assert.ok(performance.now() - startedMs < 1000)
})

test('F06: what is nested ten thousand times is refused, not followed', () => {
  const deep = 10_000
  assert.equal(parseSessionData(`{"a":${'['.repeat(deep)}${']'.repeat(deep)}}`), undefined)
  assert.equal(parseSessionData('{"a":'.repeat(deep) + '}'.repeat(deep)), undefined)
  for (const text of [
    `${'('.repeat(deep)}true${')'.repeat(deep)}`,
    `${'!'.repeat(deep)}true`,
    `${'['.repeat(deep)}1`,
    `${'true && '.repeat(deep)}true`,
  ]) {
    assert.throws(() => compileExpression(text), ExpressionError, text.slice(0, 10))
  }
  for (const text of [
    '['.repeat(deep),
    '{a: '.repeat(deep),
    '- '.repeat(deep),
    Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
  ]) {
    assert.equal(typeof readSource(text, 'a.yaml').isWellFormed, 'boolean')
  }
})

const checkout = resolve(import.meta.dirname, '../..')
const sources = globSync('src/**/*.ts', { cwd: checkout }).map(
  (file) => [file, readFileSync(resolve(checkout, file), 'utf8')] as const,
)
const filesWith = (pattern: RegExp): string[] => sources.filter(([, text]) => pattern.test(text)).map(([file]) => file)

test('E12: nothing unpacks what passes; what is unpacked is our own or Django’s, and bounded', () => {
  assert.deepEqual(filesWith(/from 'node:zlib'/).sort(), [
    'src/django/session-data.ts',
    'src/server/kept-form-cookies.ts',
    'src/sessions/caches/memcached.ts',
  ])
  assert.deepEqual(
    filesWith(
      /\b(?:createBrotli\w*|brotliDe\w*|createGunzip|gunzip\w*|createInflate\w*|createUnzip|unzip\w*|DecompressionStream|interceptors\.decompress)\b/,
    ),
    [],
  )
  for (const file of filesWith(/inflate(?:Raw)?Sync\(/))
    assert.match(sources.find(([name]) => name === file)?.[1] ?? '', /maxOutputLength/, file)
})

test('F12: what proves something is compared in constant time', () => {
  assert.ok(filesWith(/timingSafeEqual/).length > 0)
  const compared =
    /\b(?:signature|token|secret|mac|digest|password)\b\s*(?:[!=]==|[!=]=(?!=))(?!\s*(?:undefined|null|'))/i
  assert.deepEqual(filesWith(compared), [])
})

test('F16: of undici nothing is used that keeps, repeats or follows', () => {
  const used = filesWith(
    /\b(?:interceptors|RetryAgent|RetryHandler|CacheStore|cacheStores|maxRedirections|RedirectHandler)\b/,
  )
  assert.deepEqual(
    used.filter((file) => file.startsWith('src/proxy/')),
    [],
  )
})
