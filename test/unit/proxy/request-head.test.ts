import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isOwnedByConnection, noBody, requestHead } from '../../../src/proxy/request-head.ts'
import { requestTo } from '../../support/proxied.ts'

test('a head has its request line, Host, and the lines in order, and waits for its framing', () => {
  const headers = ['X-A', '1', 'HOST', 'app.test:80', 'x-a', '', 'Cookie', 'a=\xff']
  assert.equal(
    requestHead(requestTo({ method: 'PURGE', target: '/a?b', headers })),
    'PURGE /a?b HTTP/1.1\r\nhost: app.test:80\r\nconnection: keep-alive\r\nX-A: 1\r\nx-a: \r\nCookie: a=\xff\r\n',
  )
})

const refused: [why: string, overrides: Parameters<typeof requestTo>[0]][] = [
  ['a line feed in a value', { headers: ['Host', 'a', 'X', 'b\nY: c'] }],
  ['a carriage return in a value', { headers: ['Host', 'a', 'X', 'b\rc'] }],
  ['a NUL in a value', { headers: ['Host', 'a', 'X', 'b\0'] }],
  ['a character whose low byte is a line feed', { headers: ['Host', 'a', 'X', '\u010aY: c'] }],
  ['a line break in the value of Host', { headers: ['Host', 'a\r\nX: b'] }],
  ['a line break in a value that is left out', { headers: ['Host', 'a', 'Connection', 'b\r\nX: c'] }],
  ['a line break in a name', { headers: ['Host', 'a', 'X\r\nY', 'b'] }],
  ['a colon in a name', { headers: ['Host', 'a', 'X: b\r\nY', 'c'] }],
  ['a space behind a name', { headers: ['Host', 'a', 'Host ', 'b'] }],
  ['a space before a name, which would fold it', { headers: ['Host', 'a', ' X', 'b'] }],
  ['an empty name', { headers: ['Host', 'a', '', 'b'] }],
  ['a name beyond ASCII', { headers: ['Host', 'a', 'X\xe9', 'b'] }],
  ['no Host', { headers: ['X', 'a'] }],
  ['two Hosts', { headers: ['Host', 'a', 'hOST', 'a'] }],
  ['a line break in the target', { target: '/a HTTP/1.1\r\nX: b' }],
  ['a line feed at the end of the target', { target: '/a\n' }],
  ['a line break in the method', { method: 'GET /\r\nX:' }],
  ['CONNECT', { method: 'CONNECT' }],
]

for (const [why, overrides] of refused) {
  test(`a head is never written: ${why}`, () => {
    assert.throws(() => requestHead(requestTo(overrides)), TypeError)
  })
}

test('property: whatever is in the lines, there are as many as were given, or none', () => {
  const text = fc.string({ unit: 'binary', maxLength: 12 })
  fc.assert(
    fc.property(fc.array(fc.tuple(text, text), { maxLength: 5 }), (lines) => {
      const headers = ['Host', 'a', ...lines.flat()]
      const own = lines.filter(([name]) => !isOwnedByConnection(name)).length
      let head: string
      try {
        head = requestHead(requestTo({ headers }))
      } catch (error) {
        assert.ok(error instanceof TypeError)
        return
      }
      assert.equal(
        Buffer.from(head, 'latin1')
          .toString('latin1')
          .split(/[\r\n]+/).length,
        3 + own + 1,
      )
    }),
    { numRuns: 500 },
  )
})

test('a method that means content says when there is none', () => {
  const framings = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH'].map(noBody)
  const none = '\r\n'
  const zero = 'content-length: 0\r\n\r\n'
  assert.deepEqual(framings, [none, none, none, none, zero, zero, zero])
})

test('a name belongs to the connection in any case, and one that is nearly the same does not', () => {
  for (const name of ['Connection', 'TE', 'tRANSFER-eNCODING', 'Content-Length', 'expect', 'Proxy-Connection']) {
    assert.equal(isOwnedByConnection(name), true, name)
  }
  for (const name of ['Connections', 'T', '', 'Content-Lengtb', 'X-Expect', 'Cookie', '__proto__', 'x'.repeat(100)]) {
    assert.equal(isOwnedByConnection(name), false, name)
  }
})
