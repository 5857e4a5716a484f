import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GatewayError } from '../../src/errors.ts'
import { parseHost } from '../../src/http/host.ts'
import { compilePathRewrite } from '../../src/http/path-rewrite.ts'
import { readTarget } from '../../src/http/target.ts'
import { compileRouteTable } from '../../src/rules/route-table.ts'
import { publicAccess, requiredAccess, route } from '../unit/rules/samples.ts'

/**
 * A prefix that is cut off after the rules have judged makes a new path, and with it every old attack (Traefik:
 * CVE-2026-40912, CVE-2026-48020; fastify: CVE-2026-85124, CVE-2026-112712). Here an open route is rewritten before a
 * guarded one of the same app, and the app reads paths as loosely as any app does.
 */
const rewrites = [
  { prefix: '/pub', rewrite: compilePathRewrite({ stripPrefix: '/pub', addPrefix: '' }) },
  { prefix: '/pub', rewrite: compilePathRewrite({ stripPrefix: '/pub', addPrefix: '/a' }) },
  { prefix: '', rewrite: compilePathRewrite({ stripPrefix: '', addPrefix: '/a' }) },
]

/** What goes up, or the code of the refusal. */
function sent(text: string, { prefix, rewrite }: (typeof rewrites)[number]): string {
  const open = route('open', { match: { paths: [`${prefix}/*`] }, access: publicAccess })
  const guarded = route('guarded', { match: { paths: ['/admin/*', '/a/admin/*'] }, access: requiredAccess })
  const table = compileRouteTable([guarded, open], [])
  const host = parseHost('app.example')
  assert.ok(host)
  try {
    const target = readTarget(text, host)
    const selected = table.select({ method: 'GET', host: host.name, target })
    if (selected !== open) return 'guarded'
    const up = rewrite.up(target)
    assert.ok(up, `${text} was chosen, and is not under the prefix`)
    table.recheck(selected, { method: 'GET', host: host.name, target: up }, () => true)
    return up.received
  } catch (error) {
    if (error instanceof GatewayError) return error.code
    throw error
  }
}

/** As the loosest of apps: decoded twice, parameters cut, slashes collapsed, dots resolved, in lower case. */
function asReadByTheApp(received: string): string {
  const [path = ''] = received.split('?')
  const decoded = [1, 2].reduce(
    (text) => text.replace(/%([0-7][0-9a-f])/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    path,
  )
  const plain = decoded
    .replaceAll('\\', '/')
    .replace(/;[^/]*/g, '')
    .replace(/\/+/g, '/')
  return new URL(plain.replace(/[?#].*$/, ''), 'http://app.invalid').pathname.toLowerCase()
}

const attacks = [
  '/admin',
  '/admin/',
  '/Admin',
  '/%61dmin',
  '/%2561dmin',
  '/admin;x',
  '/;x/admin',
  '/./admin',
  '/x/../admin',
  '/..%2fadmin',
  '/..%5cadmin',
  '/..;/admin',
  '//admin',
  '/%2fadmin',
  '\\admin',
  '/admin%2f',
  '/admin%00',
  '/admin%23',
  '/admin%3fx',
  '/admin%c0%af',
  '/..',
  '/../admin',
  '/%2e%2e/admin',
  '/x/..%2f..%2fadmin',
]

for (const attack of attacks) {
  test(`${attack} behind a prefix never reaches what is guarded`, () => {
    for (const one of rewrites) {
      const up = sent(`${one.prefix}${attack}`, one)
      if (up.startsWith('/')) assert.doesNotMatch(asReadByTheApp(up), /^(?:\/a)?\/admin(?:\/|$)/, up)
    }
  })
}

test('nor does anything made of their pieces', () => {
  const piece = fc.constantFrom(
    '/',
    '/',
    'admin',
    'a',
    'pub',
    'ADMIN',
    '.',
    '..',
    ';',
    ';x',
    '%2f',
    '%2e',
    '%252e',
    '%5c',
    '%61',
    'x',
    '%3b',
    '%25',
    '?',
    '/..',
    '/a',
  )
  let passed = 0
  fc.assert(
    fc.property(fc.constantFrom(...rewrites), fc.array(piece, { maxLength: 8 }), (one, pieces) => {
      const up = sent(`${one.prefix}/${pieces.join('')}`, one)
      if (!up.startsWith('/')) return
      passed += 1
      assert.doesNotMatch(asReadByTheApp(up), /^(?:\/a)?\/admin(?:\/|$)/, up)
    }),
    { numRuns: 5000 },
  )
  assert.ok(passed > 200, `only ${passed} passed: the pieces say nothing`)
})
