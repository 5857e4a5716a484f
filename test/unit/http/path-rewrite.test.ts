import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseHost } from '../../../src/http/host.ts'
import { compilePathRewrite, type PathRewrite } from '../../../src/http/path-rewrite.ts'
import { readTarget, type Target } from '../../../src/http/target.ts'

const strip = compilePathRewrite({ stripPrefix: '/legacy', addPrefix: '' })
const add = compilePathRewrite({ stripPrefix: '', addPrefix: '/app' })
const both = compilePathRewrite({ stripPrefix: '/legacy', addPrefix: '/app/v2' })
const capital = compilePathRewrite({ stripPrefix: '/Le gacy'.replace(' ', '%20'), addPrefix: '' })

function targetOf(text: string): Target {
  const host = parseHost('app.example')
  assert.ok(host)
  return readTarget(text, host)
}

const up: [why: string, rewrite: PathRewrite, from: string, to: string | undefined][] = [
  ['the prefix goes', strip, '/legacy/x', '/x'],
  ['the query stays as it came', strip, '/legacy/x?a=%2F&b=/legacy', '/x?a=%2F&b=/legacy'],
  ['the prefix alone is the root', strip, '/legacy', '/'],
  ['with a slash too', strip, '/legacy/', '/'],
  ['only once', strip, '/legacy/legacy/x', '/legacy/x'],
  ['encoded letters of the prefix count as letters', strip, '/l%65gac%79/x', '/x'],
  ['what is behind the prefix keeps its bytes', strip, '/legacy/%78%c3%a9', '/%78%c3%a9'],
  ['a longer name is another path', strip, '/legacyx/y', undefined],
  ['so is one in other letters', strip, '/Legacy/y', undefined],
  ['escapes in the prefix may be written in either case', capital, '/Le%20gacy/x', '/x'],
  ['a prefix is put before', add, '/x', '/app/x'],
  ['before the root too', add, '/', '/app/'],
  ['one for another', both, '/legacy/x/y?z', '/app/v2/x/y?z'],
  ['and for the prefix alone', both, '/legacy', '/app/v2'],
]
for (const [why, rewrite, from, to] of up) {
  test(`up: ${why}`, () => assert.equal(rewrite.up(targetOf(from))?.received, to))
}

test('what goes up is read anew: path and readings are those of the new one', () => {
  const target = strip.up(targetOf('/legacy/Admin;x/'))
  assert.equal(target?.path, '/Admin;x/')
  assert.ok(target?.readings.includes('/admin'))
})

test('what is ambiguous stays so', () => {
  for (const path of ['/legacy/..%2fx', '/legacy/%2e%2e/x', '/legacy//x', '/legacy/..;/x']) {
    assert.equal(strip.up(targetOf(path))?.ambiguous, true, path)
  }
})

test('a clean path never becomes an ambiguous one', () => {
  const segment = fc.stringMatching(/^[a-zA-Z0-9;=.%_-]{1,8}$/)
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 5 }), fc.constantFrom(strip, both), (segments, rewrite) => {
      const text = ['/legacy', ...segments].join('/').replaceAll('%', '%41')
      const target = targetOf(text)
      if (!target.ambiguous) assert.equal(rewrite.up(target)?.ambiguous, false)
    }),
  )
})

const down: [why: string, rewrite: PathRewrite, from: string, to: string | undefined][] = [
  ['the stripped prefix comes back', strip, '/x', '/legacy/x'],
  ['before the root too', strip, '/', '/legacy/'],
  ['the added one goes', add, '/app/x', '/x'],
  ['down to the root', add, '/app', '/'],
  ['one for another', both, '/app/v2/x', '/legacy/x'],
  ['what lies outside of the added prefix is nowhere', both, '/app/v3/x', undefined],
]
for (const [why, rewrite, from, to] of down) test(`down: ${why}`, () => assert.equal(rewrite.down(from), to))

const cookies: [why: string, rewrite: PathRewrite, from: string, to: string | undefined][] = [
  ['the whole app is the whole prefix, its address without a slash too', strip, '/', '/legacy'],
  ['a part of the app is that part', strip, '/shop/', '/legacy/shop/'],
  ['more of the app than the route shows', both, '/app', '/legacy'],
  ['all of it', both, '/', '/legacy'],
  ['exactly what the route shows', both, '/app/v2/', '/legacy'],
  ['nothing of what the route shows', both, '/other', undefined],
  ['where nothing is stripped, the root', add, '/app', '/'],
]
for (const [why, rewrite, from, to] of cookies) {
  test(`cookie: ${why}`, () => assert.equal(rewrite.cookiePath(from), to))
}
