import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainLostCookie } from '../../../src/server/lost-cookie.ts'
import type { SessionCookieOptions } from '../../../src/sessions/cookie.ts'
import { targetOf } from '../rules/samples.ts'

const plain: SessionCookieOptions = {
  name: 'sessionid',
  path: '/',
  domain: undefined,
  secure: 'auto',
  httpOnly: true,
  sameSite: 'Lax',
}

interface Asked {
  readonly host?: string
  readonly isSecure?: boolean
  readonly headers?: string[]
}

function reasons(
  cookie: Partial<SessionCookieOptions>,
  { host = 'www.example.com', isSecure = true, headers = [] }: Asked = {},
) {
  const place = { host: { name: host, received: host }, target: targetOf('/app/x'), isSecure }
  return explainLostCookie({ ...plain, ...cookie }, place, headers).slice(0, -1)
}

const cases: [why: string, found: string[], expected: RegExp | undefined][] = [
  ['nothing is wrong with the cookie', reasons({}), undefined],
  ['Secure by http', reasons({ secure: true }, { isSecure: false }), /https only/],
  ['SameSite=None by http', reasons({ sameSite: 'None' }, { isSecure: false }), /https only/],
  ['Secure by https', reasons({ secure: true }), undefined],
  ['Secure as the page', reasons({}, { isSecure: false }), undefined],
  ['another domain', reasons({ domain: 'example.org' }), /is for example\.org, and this page is on www\.example\.com/],
  ['a domain that only looks like the own', reasons({ domain: 'ample.com' }), /is for ample\.com/],
  ['the own domain', reasons({ domain: '.Example.com' }), undefined],
  ['another path', reasons({ path: '/shop' }), /below \/shop/],
  ['a path that only looks like the own', reasons({ path: '/ap' }), /below \/ap/],
  ['the own path', reasons({ path: '/app' }), undefined],
  ['a frame', reasons({}, { headers: ['Sec-Fetch-Dest', 'iframe'] }), /inside of a page of another site/],
  [
    'a frame, where it may be sent',
    reasons({ sameSite: 'None' }, { headers: ['Sec-Fetch-Dest', 'iframe'] }),
    undefined,
  ],
  ['Strict', reasons({ sameSite: 'Strict' }), /another site leads here/],
]
for (const [why, found, expected] of cases) {
  test(`a lost cookie: ${why}`, () => {
    if (expected === undefined) assert.deepEqual(found, [])
    else assert.match(found.join(), expected)
  })
}

test('that the browser keeps none is always possible', () => {
  const place = { host: { name: 'a', received: 'a' }, target: targetOf('/'), isSecure: true }
  assert.match(explainLostCookie(plain, place, []).at(-1) ?? '', /keeps no cookies/)
})
