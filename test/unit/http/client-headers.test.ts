import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileClientHeaderFilter, isMethodOverride } from '../../../src/http/client-headers.ts'

const filter = compileClientHeaderFilter({ ownNames: ['X-User-Name', 'X.Env'], keepMethodOverrides: false })
const stranger = { trusted: false }
const proxy = { trusted: true }

const fromEverybody: [why: string, name: string][] = [
  ['the assertion', 'X-Session-Assertion'],
  ['lower-case', 'x-session-assertion'],
  ['as CGI would take it', 'X_Session_Assertion'],
  ['as PHP would take it', 'X.Session.Assertion'],
  ['mixed', 'X-Session_Assertion'],
  ['another separator', 'X!Session~Assertion'],
  ['a command', 'X-Session-Set'],
  ['whatever begins like ours', 'X-Session-Nobody-Defined-This'],
  ['only the beginning', 'X-Session-'],
  ['an own name', 'X-User-Name'],
  ['an own name, spelt otherwise', 'x_user_name'],
  ['an own name that is written with dots in the file', 'X-Env'],
  ['httpoxy', 'Proxy'],
  ['httpoxy, spelt otherwise', 'PROXY'],
  ['a method override', 'X-HTTP-Method'],
  ['a method override', 'X-HTTP-Method-Override'],
  ['a method override', 'x_method_override'],
  ['hop-by-hop', 'Keep-Alive'],
  ['hop-by-hop', 'Transfer-Encoding'],
  ['answered here', 'Expect'],
  ['written from the framing', 'Content-Length'],
  ['written from the facts', 'X-Forwarded-For'],
  ['written from the facts, spelt otherwise', 'X_Forwarded_Proto'],
  ['written from the facts', 'X-Forwarded-Host'],
  ['written from the facts', 'X-Forwarded-Port'],
  ['written from the handshake', 'Client-Cert'],
  ['written from the handshake, spelt otherwise', 'client_cert'],
  ['written from the handshake', 'Client-Cert-Chain'],
  ['written anew', 'X-Request-Id'],
  ['written anew', 'Traceparent'],
]
for (const [why, name] of fromEverybody) {
  test(`${name} is taken from everybody: ${why}`, () => {
    const raw = ['Host', 'h', name, 'forged', 'Accept', '*/*']
    assert.deepEqual(filter(raw, stranger), ['Host', 'h', 'Accept', '*/*'])
    assert.deepEqual(filter(raw, proxy), ['Host', 'h', 'Accept', '*/*'])
  })
}

const fromStrangers = [
  ...['Forwarded', 'X-Forwarded', 'X-Forwarded-Prefix', 'X_Forwarded_Server', 'x-forwarded-', 'X-Real-IP', 'X_Real_IP'],
  ...['X-Original-URL', 'X-Original-Host', 'X-Rewrite-URL', 'True-Client-IP', 'CF-Connecting-IP', 'cf_ray'],
]
for (const name of fromStrangers) {
  test(`${name} is taken from strangers and left to trusted proxies`, () => {
    assert.deepEqual(filter([name, 'x'], stranger), [])
    assert.deepEqual(filter([name, 'x'], proxy), [name, 'x'])
  })
}

const kept = [
  ...[
    'Host',
    'Cookie',
    'Authorization',
    'Accept',
    'Origin',
    'Referer',
    'X-Sessions',
    'X-Session',
    'XX-Session-A',
    'Session-A',
  ],
  ...[
    'X-User-Names',
    'X-Requested-With',
    'X-CSRFToken',
    'CFoo',
    'Sec-WebSocket-Key',
    'X-Realm',
    'Proxied',
    'Content-Type',
  ],
]
for (const name of kept) {
  test(`${name} is the client's own`, () => {
    assert.deepEqual(filter([name, 'x'], stranger), [name, 'x'])
  })
}

test('a route may keep method overrides', () => {
  const keeping = compileClientHeaderFilter({ ownNames: [], keepMethodOverrides: true })
  assert.deepEqual(keeping(['X-HTTP-Method-Override', 'PUT'], stranger), ['X-HTTP-Method-Override', 'PUT'])
})

test('the method overrides are three, by their keys', () => {
  const keys = ['x-http-method', 'x-http-method-override', 'x-method-override', 'x-method', 'method']
  assert.deepEqual(keys.map(isMethodOverride), [true, true, true, false, false])
})

test('what Connection names is cut, in any case, over several lines; Host stays', () => {
  const raw = [
    'Host',
    'h',
    'Connection',
    'close, x-a, HOST',
    'X-A',
    '1',
    'connection',
    'Cookie',
    'Cookie',
    'c',
    'X-B',
    '2',
  ]
  assert.deepEqual(filter(raw, stranger), ['Host', 'h', 'X-B', '2'])
})

test('tracestate stays only beside one well-formed traceparent', () => {
  const parent = ['Traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01']
  const state = ['Tracestate', 'a=1']
  assert.deepEqual(filter([...parent, ...state], stranger), state)
  assert.deepEqual(filter([...parent, ...parent, ...state], stranger), [])
  assert.deepEqual(filter(['Traceparent', 'x', ...state], stranger), [])
  assert.deepEqual(filter(state, proxy), [])
})

test('an operator who names Host among the own headers does not take it from the app', () => {
  const odd = compileClientHeaderFilter({ ownNames: ['Host'], keepMethodOverrides: false })
  assert.deepEqual(odd(['Host', 'h'], stranger), ['Host', 'h'])
})

/** What CGI makes of a name; PHP, WSGI and Rack see headers through it. */
function cgiName(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, '_')
}

const separator = fc.constantFrom('-', '_', '.', '!', '~', '+', '')
const word = fc.constantFrom(
  'X',
  'x',
  'Session',
  'SESSION',
  'User',
  'Name',
  'Forwarded',
  'For',
  'Real',
  'IP',
  'Proxy',
  'CF',
  'A',
)
const anyName = fc
  .array(fc.tuple(word, separator), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.flat().join(''))
const anyLines = fc.array(fc.tuple(anyName, fc.string({ maxLength: 5 })), { maxLength: 12 })

test('no foreign header survives under any spelling that an app behind CGI would mistake for ours', () => {
  fc.assert(
    fc.property(anyLines, fc.boolean(), (pairs, trusted) => {
      const raw = pairs.flat()
      const lines = filter(raw, { trusted })
      for (let i = 0; i < lines.length; i += 2) {
        const name = cgiName(lines[i] ?? '')
        assert.doesNotMatch(name, /^X_SESSION_|^X_USER_NAME$|^X_ENV$|^PROXY$|^X_FORWARDED_FOR$/)
        if (!trusted) assert.doesNotMatch(name, /^X_FORWARDED(?:_|$)|^X_REAL_IP$|^CF_/)
      }
      assert.deepEqual(filter(lines, { trusted }), lines)
      const left = pairs.filter(([name]) => lines.includes(name)).flat()
      assert.deepEqual(lines, left, 'lines keep their order, name and value')
    }),
    { numRuns: 2000 },
  )
})
