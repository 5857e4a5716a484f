import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { compilePlainHeaders, digestHeaders } from '../../../src/assertion/plain-headers.ts'
import { jsonText, parseSessionData, type SessionData } from '../../../src/django/json.ts'

function sessionOf(json: string): SessionData {
  const data = parseSessionData(json)
  assert.ok(data, json)
  return data
}

/** The value of a header that stands for the whole key `v`. */
function headerOf(source: string): string | undefined {
  return compilePlainHeaders(new Map([['X-V', 'v']]))(sessionOf(`{"v":${source}}`)).lines[1]
}

test('strings go out as they are where a header can hold them, else as %XX of their UTF-8', () => {
  const cases: [why: string, value: string, header: string][] = [
    ['visible ASCII', 'a!"#$&\'()*+,-./:;<=>?@[\\]^_`{|}~', 'a!"#$&\'()*+,-./:;<=>?@[\\]^_`{|}~'],
    ['inner spaces', 'Jane  Q. Doe', 'Jane  Q. Doe'],
    ['outer spaces', '  a b ', '%20%20a b%20'],
    ['only spaces', '  ', '%20%20'],
    ['one space', ' ', '%20'],
    ['nothing', '', ''],
    ['a percent sign', '100%', '100%25'],
    ['what looks escaped', '%41', '%2541'],
    ['line breaks', 'a\r\nX-Admin: 1', 'a%0D%0AX-Admin: 1'],
    ['NUL, tab, escape, DEL', '\0\t\x1b\x7f', '%00%09%1B%7F'],
    ['a tab at the end', 'a\t', 'a%09'],
    ['umlauts', 'Zoë', 'Zo%C3%AB'],
    ['an emoji', '🎈', '%F0%9F%8E%88'],
    ['the line separator', '\u2028', '%E2%80%A8'],
    ['a no-break space', '\u00a0', '%C2%A0'],
    ['C1 controls', '\u0085', '%C2%85'],
    ['a lone surrogate', 'a\ud800b', 'a%EF%BF%BDb'],
    ['the word null', 'null', 'null'],
  ]
  for (const [why, value, header] of cases) assert.equal(headerOf(jsonText(value)), header, why)
})

test('other values go out as JSON', () => {
  const cases: [why: string, source: string, header: string | undefined][] = [
    ['an integer', '7', '7'],
    ['a float that is whole', '1.0', '1.0'],
    ['an integer above 2^53', '1152921504606846977', '1152921504606846977'],
    ['an exponent', '-1E+5', '-1E+5'],
    ['true', 'true', 'true'],
    ['false', 'false', 'false'],
    ['null', 'null', undefined],
    ['NaN', 'NaN', undefined],
    ['an infinity', '-Infinity', undefined],
    ['an object', '{ "b" : 1.0, "a" : [ "é", "50%" ] }', '{"b":1.0,"a":["\\u00e9","50%25"]}'],
    ['NaN inside', '[NaN, "NaN"]', '[null,"NaN"]'],
    ['spaces inside', '{"a":" b "}', '{"a":" b "}'],
    ['an empty object', '{}', '{}'],
    ['an empty list', '[]', '[]'],
  ]
  for (const [why, source, header] of cases) assert.equal(headerOf(source), header, why)
})

test('paths lead through objects and lists, and what is missing gives no header', () => {
  const paths = new Map([
    ['X-User-Name', 'userInfo.name'],
    ['X-First-Role', 'userInfo.roles.0'],
    ['X-None', 'userInfo.phone'],
    ['X-Nowhere', 'cart.n'],
    ['X-Into-Text', 'userInfo.name.first'],
    ['X-Proto', '__proto__'],
    ['X-Length', 'userInfo.roles.length'],
  ])
  const data = sessionOf('{"userInfo":{"name":"Ada","roles":["ops"],"phone":null}}')
  assert.deepEqual(compilePlainHeaders(paths)(data), {
    lines: ['X-User-Name', 'Ada', 'X-First-Role', 'ops'],
    keys: ['userInfo', 'userInfo'],
  })
  assert.deepEqual(compilePlainHeaders(paths)(new Map()), { lines: [], keys: [] })
})

test('a name that is no header name is refused at the start', () => {
  for (const name of ['', 'X User', 'X:User', 'X\r\nUser', 'Üser']) {
    assert.throws(() => compilePlainHeaders(new Map([[name, 'a']])), TypeError, name)
  }
})

test('one header in two spellings is refused at the start', () => {
  for (const other of ['x-user', 'X_User', 'X.User']) {
    assert.throws(
      () =>
        compilePlainHeaders(
          new Map([
            ['X-User', 'a'],
            [other, 'b'],
          ]),
        ),
      /given twice/,
      other,
    )
  }
})

test('no value can hold a byte that ends a header, and every string comes back whole', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      const header = headerOf(jsonText(value)) ?? assert.fail('no header')
      assert.match(header, /^(?:[!-~](?:[ -~]*[!-~])?)?$/)
      assert.equal(decodeURIComponent(header), value.toWellFormed())
    }),
  )
})

test('every JSON value makes a header that is valid, or none', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }), (value) => {
      const header = headerOf(jsonText(value))
      if (header === undefined) return assert.equal(value, null)
      assert.match(header, /^(?:[!-~](?:[ -~]*[!-~])?)?$/)
      if (typeof value === 'string') return
      assert.equal(JSON.stringify(JSON.parse(decodeURIComponent(header))), JSON.stringify(value))
    }),
  )
})

test('the digest is over lower-case names in order, one line each', () => {
  const hdr = createHash('sha256').update('x-a:1\nx-user-name:Ada L\n').digest('base64url')
  assert.deepEqual(digestHeaders(['X-User-Name', 'Ada L', 'x-a', '1']), { hdr, hdn: ['x-a', 'x-user-name'] })
})

test('the digest is the same in whatever order the lines stand', () => {
  const lines = ['A', 'B', 'C', 'D'].map((name, at) => [name, String(at)])
  const orders = [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [2, 0, 3, 1],
    [1, 3, 0, 2],
  ]
  const digests = orders.map((order) => digestHeaders(order.flatMap((at) => lines[at] ?? [])))
  for (const digest of digests) assert.deepEqual(digest, digests[0])
  assert.deepEqual(digests[0]?.hdn, ['a', 'b', 'c', 'd'])
})
