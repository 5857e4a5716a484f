import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readSetCookie, setCookieName, withoutSetCookie } from '../../../src/http/cookies.ts'

const name = 'sessionid'

test('from an answer every line for the cookie is cut, and no other', () => {
  const others = [
    'Set-Cookie',
    'a=1',
    'Content-Type',
    'sessionid=x',
    'Set-Cookie2',
    'sessionid=x',
    'Set-Cookie',
    'SESSIONID=x',
  ]
  const own = ['Set-Cookie', 'sessionid=x; Path=/', 'set-cookie', ' = sessionid=; Max-Age=0']
  assert.deepEqual(withoutSetCookie([...own, ...others], name), { headers: others, cut: 2 })
  assert.deepEqual(withoutSetCookie([...others, ...own], name), { headers: others, cut: 2 })
  assert.deepEqual(withoutSetCookie(others, name), { headers: others, cut: 0 })
})

const setCookies: [why: string, line: string, name: string, value: string, isDeletion: boolean][] = [
  ['a session cookie', 'sessionid=abc; Path=/; HttpOnly', 'sessionid', 'abc', false],
  ['padded', '  sessionid =  abc ; Path=/', 'sessionid', 'abc', false],
  ['quoted, as the next request will be read', 'sessionid="a\\073b"', 'sessionid', 'a;b', false],
  ['no name: comes back as a bare value', 'sessionid', '', 'sessionid', false],
  ['an empty name: comes back as an assignment', '=sessionid=abc', 'sessionid', 'abc', false],
  ['an empty name behind spaces', ' = =sessionid=abc', 'sessionid', 'abc', false],
  ['behind a no-break space, which Django strips', '\xc2\xa0sessionid=abc', 'sessionid', 'abc', false],
  [
    'the deletion of Django',
    'sessionid=""; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/',
    'sessionid',
    '',
    true,
  ],
  ['an empty value', 'sessionid=; Path=/', 'sessionid', '', true],
  ['Max-Age zero', 'sessionid=abc; Max-Age=0', 'sessionid', 'abc', true],
  ['Max-Age negative', 'sessionid=abc; max-age=-1', 'sessionid', 'abc', true],
  [
    'Max-Age outranks Expires',
    'sessionid=abc; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60',
    'sessionid',
    'abc',
    false,
  ],
  [
    'a malformed Max-Age is none',
    'sessionid=abc; Max-Age=60s; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
    'sessionid',
    'abc',
    true,
  ],
  ['the last Max-Age counts', 'sessionid=abc; Max-Age=0; Max-Age=60', 'sessionid', 'abc', false],
  ['Expires in the past', 'sessionid=abc; expires=Wed, 01-Jan-2020 00:00:00 GMT', 'sessionid', 'abc', true],
  ['Expires now', 'sessionid=abc; expires=Tue, 14 Nov 2023 22:13:20 GMT', 'sessionid', 'abc', true],
  ['Expires a second from now', 'sessionid=abc; expires=Tue, 14 Nov 2023 22:13:21 GMT', 'sessionid', 'abc', false],
  ['Expires in no date', 'sessionid=abc; expires=never', 'sessionid', 'abc', false],
  ['Expires in Unix time is no date for a browser', 'sessionid=abc; expires=0', 'sessionid', 'abc', false],
  ['a far Max-Age', 'sessionid=abc; Max-Age=99999999999999999999', 'sessionid', 'abc', false],
  ['attributes without a value', 'sessionid=abc; Max-Age; Expires; Secure', 'sessionid', 'abc', false],
  ['a padded attribute', 'sessionid=abc; Max-Age = 0 ; Path=/', 'sessionid', 'abc', true],
  [
    'a Max-Age that only ends in a number is none',
    'sessionid=abc; Max-Age=a0; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
    'sessionid',
    'abc',
    true,
  ],
  ['a date in another attribute', 'sessionid=abc; Path=Thu, 01 Jan 1970 00:00:00 GMT', 'sessionid', 'abc', false],
  ['a cookie that is called like an attribute', 'Max-Age=0; Path=/', 'Max-Age', '0', false],
  ['attributes of no cookie', '; sessionid=abc', '', '', true],
  ['nothing', '', '', '', true],
]
for (const [why, line, expected, value, isDeletion] of setCookies) {
  test(`Set-Cookie ${JSON.stringify(line)}: ${why}`, () => {
    assert.deepEqual(readSetCookie(line, 1_700_000_000_000), { name: expected, value, isDeletion })
    assert.equal(setCookieName(line), expected)
  })
}
