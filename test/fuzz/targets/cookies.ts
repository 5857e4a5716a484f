import assert from 'node:assert/strict'
import {
  cookiesWithout,
  readCookie,
  readSetCookie,
  withoutSetCookie,
  withSingleCookie,
} from '../../../src/http/cookies.ts'
import type { FuzzTarget } from '../fuzz-target.ts'

const name = 'session_id'

/**
 * Cookie lines, and what an app answers. Behind the cut nobody finds the cookie any more, other cookies that stand alone
 * are still there, and beside the gateway's own there is no second one.
 */
export const cookieTarget: FuzzTarget = {
  name: 'cookies',
  seeds: [
    'session_id=abc',
    'a=1; session_id="a\\054b"; b=2',
    'session.id=x; session[id=y',
    'a=1,session_id=2 session_id=3',
    '=session_id=x\n; session_id',
    's%65ssion_id=1',
    'session_id=x; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT',
    'session_id[a]=1;\xa0session_id=2',
  ],
  dictionary: [
    'session_id',
    'session_id=',
    'session.id',
    'session id',
    'session%5Fid',
    '; ',
    '="',
    '\\"',
    '\xef\xbb\xbf',
    '\xc2\xa0',
    '\x1c',
    '[',
    ',',
    'Max-Age=',
    'Expires=',
    'Thu, 01 Jan 2030 00:00:00 GMT',
  ],
  check(bytes) {
    const lines = bytes.toString('latin1').split('\n')
    const raw = lines.flatMap((line) => ['Cookie', line])
    const { headers, cut } = cookiesWithout(raw, name)
    assert.ok(cut >= readCookie(raw, name).count)
    assert.equal(readCookie(headers, name).value, undefined)
    const left = headers.filter((_, at) => at % 2 === 1)
    for (const found of left.flatMap(laxNames)) assert.notEqual(found, name, left.join('\n'))
    assert.deepEqual(cookiesWithout(headers, name), { headers, cut: 0 })
    assert.deepEqual(readCookie(withSingleCookie(raw, name, 'key'), name), { value: 'key', count: 1 })
    for (const line of lines) checkSetCookie(line)
  },
}

/** Every word that somebody may take for the name of a cookie, underscores as PHP makes them. */
function laxNames(line: string): string[] {
  const words = line.split(';').flatMap((chunk) => [chunk.split('=', 1)[0] ?? '', ...chunk.matchAll(/[, ]([^=, ]*)=/g)])
  return words.map((word) => (typeof word === 'string' ? word : (word[1] ?? '')).trim().replace(/[.]/g, '_'))
}

function checkSetCookie(line: string): void {
  const raw = ['Set-Cookie', line, 'Set-Cookie', `${name}=own`]
  const cookie = readSetCookie(line, 1_700_000_000_000)
  const { headers, cut } = withoutSetCookie(raw, name)
  assert.equal(cut, cookie.name === name ? 2 : 1)
  assert.equal(headers.length, raw.length - cut * 2)
  if (/^session_id=[^;]*$/.test(line)) assert.equal(cut, 2)
}
