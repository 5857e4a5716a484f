import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { headerKey } from '../../../src/http/headers.ts'
import { connectionNames, isHopByHop, withoutHopByHop } from '../../../src/http/hop-by-hop.ts'

const named: [why: string, raw: string[], names: string[]][] = [
  ['nothing', ['Host', 'a'], []],
  ['one', ['Connection', 'close'], ['close']],
  ['a list', ['Connection', 'keep-alive, X-A ,x-b'], ['keep-alive', 'x-a', 'x-b']],
  ['over several lines', ['Connection', 'X-A', 'connection', 'X-B'], ['x-a', 'x-b']],
  ['behind a line that is usual', ['Connection', 'keep-alive', 'Connection', 'X-A'], ['keep-alive', 'x-a']],
  ['in any case (CVE-2026-29054)', ['Connection', 'x-forwarded-for, COOKIE'], ['x-forwarded-for', 'cookie']],
  ['in any spelling', ['Connection', 'X_Session_Data'], ['x-session-data']],
  ['empty members', ['Connection', ', ,,'], []],
  [
    'what delimits or addresses the message cannot be named',
    ['Connection', 'Host, content-length, Content_Length'],
    [],
  ],
]
for (const [why, raw, names] of named) {
  test(`Connection names: ${why}`, () => assert.deepEqual([...connectionNames(raw)], names))
}

const gone: [why: string, name: string][] = [
  ['RFC 9110', 'Connection'],
  ['RFC 9112', 'Keep-Alive'],
  ['RFC 9110', 'TE'],
  ['RFC 9110', 'Trailer'],
  ['RFC 9112: we frame bodies ourselves', 'Transfer-Encoding'],
  ['RFC 9110', 'Upgrade'],
  ['we answer it ourselves', 'Expect'],
  ['RFC 7540', 'HTTP2-Settings'],
  ['for a proxy', 'Proxy-Connection'],
  ['for a proxy', 'Proxy-Authorization'],
  ['for a proxy', 'Proxy-Authenticate'],
  ['for a proxy', 'Proxy-Features'],
  ['another spelling', 'Keep_Alive'],
  ['another spelling', 'PROXY.AUTHORIZATION'],
]
for (const [why, name] of gone) {
  test(`${name} ends here: ${why}`, () => {
    assert.deepEqual(withoutHopByHop(['A', '1', name, 'x', 'B', '2']), ['A', '1', 'B', '2'])
  })
}

test('what Connection names goes in every spelling, Host and Content-Length stay', () => {
  const raw = [
    'Host',
    'h',
    'Connection',
    'x-a, host, Content-Length',
    'X_A',
    '1',
    'x-a',
    '2',
    'Content-Length',
    '3',
    'X-B',
    '4',
  ]
  assert.deepEqual(withoutHopByHop(raw), ['Host', 'h', 'Content-Length', '3', 'X-B', '4'])
})

test('names may be given from elsewhere', () => {
  assert.deepEqual(withoutHopByHop(['X-A', '1', 'X-B', '2'], new Set(['x-a'])), ['X-B', '2'])
})

test('a line stays on its connection by its own name, or because it was named', () => {
  const named = new Set(['x-a'])
  for (const key of ['te', 'proxy-x', 'x-a']) assert.equal(isHopByHop(key, named), true, key)
  for (const key of ['x-b', 'proxy', 'cookie']) assert.equal(isHopByHop(key, named), false, key)
  assert.equal(isHopByHop('x-a', new Set()), false)
})

const token = fc.constantFrom(
  'Connection',
  'connection',
  'X-A',
  'x_a',
  'Host',
  'Cookie',
  'TE',
  'te',
  'Proxy-X',
  'Content-Length',
)
const lines = fc.array(
  fc.tuple(
    token,
    fc.array(token, { maxLength: 3 }).map((names) => names.join(',')),
  ),
  { maxLength: 8 },
)

test('cutting twice is cutting once, nothing new appears, and no named header is left', () => {
  fc.assert(
    fc.property(lines, (pairs) => {
      const raw = pairs.flat()
      const kept = withoutHopByHop(raw)
      assert.deepEqual(withoutHopByHop(kept), kept)
      const names = connectionNames(raw)
      const expected = pairs.filter(([name]) => {
        const key = headerKey(name)
        return !names.has(key) && !['connection', 'te', 'proxy-x'].includes(key)
      })
      assert.deepEqual(kept, expected.flat())
    }),
  )
})
