import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { withPrivateCache, withVary } from '../../../src/http/cache-headers.ts'
import { headerValues } from '../../../src/http/headers.ts'

const vary: [why: string, raw: string[], expected: string[]][] = [
  ['none yet', ['A', '1'], ['A', '1', 'Vary', 'Cookie']],
  ['another', ['Vary', 'Accept'], ['Vary', 'Accept, Cookie']],
  ['it is there', ['Vary', 'Cookie'], ['Vary', 'Cookie']],
  ['it is there in another case', ['vary', 'accept, COOKIE'], ['vary', 'accept, COOKIE']],
  ['the order is kept', ['Vary', 'B , A,C'], ['Vary', 'B, A, C, Cookie']],
  ['a star alone', ['Vary', '*'], ['Vary', '*']],
  ['a star among others becomes exactly a star', ['Vary', 'Accept, *'], ['Vary', '*']],
  [
    'several lines become one, in the place of the first',
    ['Vary', 'A', 'X', '1', 'VARY', 'B'],
    ['Vary', 'A, B, Cookie', 'X', '1'],
  ],
  ['a star on the second line', ['Vary', 'A', 'Vary', '*'], ['Vary', '*']],
  ['an empty one', ['Vary', ''], ['Vary', 'Cookie']],
  ['a name that only ends like it', ['Vary', 'X-Cookie'], ['Vary', 'X-Cookie, Cookie']],
]
for (const [why, raw, expected] of vary) {
  test(`Vary: ${why}`, () => assert.deepEqual(withVary(raw, 'Cookie'), expected))
}

const cache: [why: string, raw: string[], expected: string[]][] = [
  ['none yet', ['A', '1'], ['A', '1', 'Cache-Control', 'private']],
  ['an age', ['Cache-Control', 'max-age=60'], ['Cache-Control', 'max-age=60, private']],
  ['public goes', ['Cache-Control', 'public, max-age=60'], ['Cache-Control', 'max-age=60, private']],
  ['s-maxage goes', ['Cache-Control', 's-maxage=60, max-age=5'], ['Cache-Control', 'max-age=5, private']],
  ['in any case', ['cache-control', 'Public, S-MaxAge=60'], ['cache-control', 'private']],
  ['private stands', ['Cache-Control', 'private, max-age=5'], ['Cache-Control', 'private, max-age=5']],
  ['private stands beside public', ['Cache-Control', 'public, Private'], ['Cache-Control', 'Private']],
  ['no-store stands', ['Cache-Control', 'no-store'], ['Cache-Control', 'no-store']],
  ['no-store stands, s-maxage goes', ['Cache-Control', 'no-store, s-maxage=9'], ['Cache-Control', 'no-store']],
  ['no-cache is not enough', ['Cache-Control', 'no-cache'], ['Cache-Control', 'no-cache, private']],
  [
    'private for some fields is not private',
    ['Cache-Control', 'private="Set-Cookie, X", max-age=1'],
    ['Cache-Control', 'max-age=1, private'],
  ],
  ['public with a value goes too', ['Cache-Control', 'public=1, max-age=1'], ['Cache-Control', 'max-age=1, private']],
  [
    'a word within a quotation is no directive',
    ['Cache-Control', 'x="private, public"'],
    ['Cache-Control', 'x="private, public", private'],
  ],
  [
    'an escaped quotation mark',
    ['Cache-Control', 'x="a\\", private"'],
    ['Cache-Control', 'x="a\\", private", private'],
  ],
  ['a quotation that never ends', ['Cache-Control', 'x="a, private'], ['Cache-Control', 'private']],
  [
    'a name that only begins like one',
    ['Cache-Control', 'publicly, privateer'],
    ['Cache-Control', 'publicly, privateer, private'],
  ],
  [
    'several lines become one',
    ['Cache-Control', 'public', 'X', '1', 'Cache-Control', 'max-age=1'],
    ['Cache-Control', 'max-age=1, private', 'X', '1'],
  ],
  ['no-store on another line', ['Cache-Control', 'public', 'cache-control', 'no-store'], ['Cache-Control', 'no-store']],
  ['empty', ['Cache-Control', ' , '], ['Cache-Control', 'private']],
]
for (const [why, raw, expected] of cache) {
  test(`Cache-Control ${JSON.stringify(raw)}: ${why}`, () => assert.deepEqual(withPrivateCache(raw), expected))
}

test('what only one kind of shared cache obeys, and obeys first, goes away', () => {
  const names = [
    'Surrogate-Control',
    'CDN-Cache-Control',
    'Cloudflare-CDN-Cache-Control',
    'Edge-Control',
    'X-Accel-Expires',
    'cdn_cache_control',
  ]
  for (const name of names) assert.deepEqual(withPrivateCache([name, 'max-age=60']), ['Cache-Control', 'private'])
  const others = ['Expires', '0', 'Age', '5', 'ETag', '"x"', 'X-Accel-Buffering', 'no', 'Access-Control-Max-Age', '5']
  assert.deepEqual(withPrivateCache(others), [...others, 'Cache-Control', 'private'])
})

const directive = fc.constantFrom(
  'public',
  'private',
  'no-store',
  's-maxage=5',
  'max-age=5',
  'x="a,b"',
  'private="a"',
  '"',
  'PUBLIC',
  '',
)
const lines = fc.array(
  fc.tuple(
    fc.constantFrom('Cache-Control', 'cache-control', 'Vary', 'X'),
    fc.array(directive).map((all) => all.join(',')),
  ),
)

test('doing it twice is doing it once, one line is left, and no shared cache may keep the answer', () => {
  fc.assert(
    fc.property(lines, (pairs) => {
      const raw = pairs.flat()
      const once = withPrivateCache(raw)
      assert.deepEqual(withPrivateCache(once), once)
      const [value = '', ...others] = headerValues(once, 'cache-control')
      assert.equal(others.length, 0)
      const unquoted = value.toLowerCase().replace(/"[^"]*"/g, '')
      assert.match(unquoted, /(?:^|, )(?:private|no-store)(?:,|$)/)
      assert.doesNotMatch(unquoted, /public|s-maxage/)
      const varied = withVary(raw, 'Cookie')
      assert.deepEqual(withVary(varied, 'Cookie'), varied)
      assert.equal(headerValues(varied, 'vary').length, 1)
    }),
  )
})
