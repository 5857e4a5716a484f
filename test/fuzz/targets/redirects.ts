import assert from 'node:assert/strict'
import { isSafeReturn, returnFor } from '../../../src/http/return-url.ts'
import { readTarget } from '../../../src/http/target.ts'
import { compileNextGuard } from '../../../src/rules/next-guard.ts'
import { type FuzzTarget, unlessRefused } from '../fuzz-target.ts'

const ownOrigin = 'https://app.example.com'
const host = { name: 'app.example.com', received: 'app.example.com' }
const allowedHosts = ['sso.example.com', 'login.example.org:8443']
const isSafe = (value: string) => isSafeReturn(value, { ownOrigin, allowedHosts })
const guard = compileNextGuard({ nextParam: 'next', isSafe })

const origins = new Set([ownOrigin, 'https://sso.example.com', 'https://login.example.org:8443'])

/**
 * Return addresses, as a value and in a login page's query. What passes leads a browser to the own origin or to an allowed
 * host, whether the app decodes it not at all, once or twice; and a query that went through the guard holds no other.
 */
export const redirectTarget: FuzzTarget = {
  name: 'redirects',
  seeds: [
    '/a?b=c',
    '//evil.example/',
    '/%5Cevil.example',
    'https://sso.example.com/x',
    'https://login.example.org:8443?y',
    '/a&next=//evil;next=/b',
    '/%09/evil.example',
    '/%252Fevil.example',
    '%6eext[]=https:evil.example',
    '/a#//b',
  ],
  dictionary: [
    '//',
    '/\\',
    '%2f',
    '%5c',
    '%252f',
    '%09',
    '%0d%0a',
    'https:',
    'https://',
    'javascript:',
    'sso.example.com',
    'login.example.org:8443',
    '@evil.example',
    '.evil.example',
    '&next=',
    ';next=',
    'next%5b%5d=',
    '+',
    '\xe3\x80\x82',
    '%E3%80%82',
    '%C0%AF',
    '\xe2\x80\xa8',
    '..',
    '?',
    '#',
  ],
  check(bytes) {
    const value = bytes.toString('utf8')
    checkValue(value)
    const guarded = guard(`?next=${bytes.toString('latin1')}`)
    assert.equal(guard(guarded), guarded)
    for (const query of [guarded, guarded.replaceAll(';', '&')]) {
      for (const [name, found] of new URLSearchParams(query)) {
        if (/^next(?:\[.*)?$/is.test(name)) checkLeads(found)
      }
    }
    const target = unlessRefused(['ERR_TARGET_INVALID'], () => readTarget(bytes.toString('latin1'), host))
    const place = target && returnFor({ method: 'GET', target, headers: [], ownOrigin })
    if (place !== undefined) assert.equal(new URL(place, ownOrigin).origin, ownOrigin)
  },
}

function checkValue(value: string): void {
  if (isSafe(value)) for (const reading of [value, decoded(value), decoded(decoded(value))]) checkLeads(reading)
}

function checkLeads(value: string): void {
  assert.ok(URL.canParse(value, `${ownOrigin}/login`), value)
  assert.ok(origins.has(new URL(value, `${ownOrigin}/login`).origin), value)
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
