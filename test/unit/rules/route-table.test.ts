import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { GatewayError } from '../../../src/errors.ts'
import { compileRouteTable } from '../../../src/rules/route-table.ts'
import type { RoutedRule } from '../../../src/rules/rule.ts'
import { asksAtLeast } from '../../../src/rules/strictness.ts'
import { publicAccess, requiredAccess, route, targetOf } from './samples.ts'

interface Asked {
  method?: string
  host?: string
  path: string
}

/** The id of the selected route, or the code of the error. */
function outcome(
  routes: readonly RoutedRule[],
  { method = 'GET', host = 'app.example', path }: Asked,
  hosts: string[] = [],
): string {
  try {
    return compileRouteTable(routes, hosts).select({ method, host, target: targetOf(path) }).id
  } catch (error) {
    if (error instanceof GatewayError) return error.code
    throw error
  }
}

const site = [
  route('static', { match: { paths: ['/static/*', '/favicon.ico'], methods: ['GET'] } }),
  route('login', { match: { paths: ['/login', '/login/'] } }),
  route('admin', { match: { hosts: ['app.example'], paths: ['/admin/*'] }, access: requiredAccess }),
  route('tenant', { match: { hosts: ['*.tenants.example'], paths: ['/admin/*'] }, access: requiredAccess }),
  route('app', { match: { paths: ['/*'], methods: ['GET', 'POST'] } }),
]

const cases: [why: string, asked: Asked, expected: string][] = [
  ['the first route in file order takes the request', { path: '/static/a.css' }, 'static'],
  ['the query is not looked at', { path: '/x?a=/static/a.css' }, 'app'],
  ['a method that the first does not take leads on', { method: 'POST', path: '/static/a.css' }, 'app'],
  ['HEAD falls under GET', { method: 'HEAD', path: '/static/a.css' }, 'static'],
  ['a second path of the same route', { path: '/favicon.ico' }, 'static'],
  ['the host decides', { path: '/admin/x' }, 'admin'],
  ['letters of the host have no case', { host: 'APP.Example', path: '/admin/x' }, 'admin'],
  ['another host has another route', { host: 'other.example', path: '/admin/x' }, 'app'],
  ['an asterisk stands for one label', { host: 'a.tenants.example', path: '/admin/x' }, 'tenant'],
  ['an asterisk does not stand for two', { host: 'a.b.tenants.example', path: '/admin/x' }, 'app'],
  ['a method that no route takes', { method: 'DELETE', path: '/x' }, 'ERR_ROUTE_NOT_FOUND'],
]
for (const [why, asked, expected] of cases) test(why, () => assert.equal(outcome(site, asked), expected))

test('a host that only other routes name is known, and has the routes for any host', () => {
  assert.equal(outcome(site, { host: 'app.example', path: '/' }, ['www.example']), 'app')
})

test('with a list of served hosts, every other host is unknown', () => {
  assert.equal(outcome(site, { host: 'www.example', path: '/' }, ['www.example']), 'app')
  assert.equal(outcome(site, { host: 'a.shops.example', path: '/' }, ['*.shops.example']), 'app')
  assert.equal(outcome(site, { host: 'other.example', path: '/' }, ['www.example']), 'ERR_HOST_UNKNOWN')
})

test('without a route for any host, only the named hosts are known', () => {
  const routes = [route('a', { match: { hosts: ['a.example'] } }), route('b', { match: { hosts: ['*.b.example'] } })]
  assert.equal(outcome(routes, { host: 'a.example', path: '/' }), 'a')
  assert.equal(outcome(routes, { host: 'x.b.example', path: '/' }), 'b')
  for (const host of ['c.example', 'b.example', 'a.example.evil', 'evil-a.example', 'x.y.b.example']) {
    assert.equal(outcome(routes, { host, path: '/' }), 'ERR_HOST_UNKNOWN')
  }
})

test('150 hosts in a route are told apart as one is', () => {
  const hosts = Array.from({ length: 150 }, (_, number) => `h${number}.example`)
  const routes = [route('many', { match: { hosts }, access: requiredAccess }), route('rest')]
  for (const host of hosts) assert.equal(outcome(routes, { host: host.toUpperCase(), path: '/' }), 'many')
  assert.equal(outcome(routes, { host: 'h150.example', path: '/' }), 'rest')
})

const guarded = [route('admin', { match: { paths: ['/admin/*'] }, access: requiredAccess }), route('open')]

for (const path of ['/admin', '/admin/', '/admin/x', '/%61dmin/x', '/adm%69n', '/admin?x=/open']) {
  test(`${path} is guarded`, () => assert.equal(outcome(guarded, { path }), 'admin'))
}
const sneaky = [
  ...['/ADMIN', '/Admin/x', '/%41dmin/', '/admin;v=1/x', '/x;/../admin', '/;x/admin', '/%61DMIN', '/admin%3Bx'],
  ...['//admin', '/admin//x', '/x/../admin', '/x/%2e%2e/admin', '/x/..%2fadmin', '/x%2f..%2fadmin', '/admin%23/open'],
  ...['/admin%3fx', '/x/%2E./admin', '/x/.%2e/admin', '/%2561dmin', '/open/..;/admin', '/x/..%5cadmin', '/admin%2f'],
]
for (const path of sneaky) {
  test(`${path} neither passes by the guard nor reaches the app`, () => {
    const result = outcome(guarded, { path })
    assert.ok(result === 'ERR_TARGET_AMBIGUOUS' || result === 'admin', result)
  })
}

test('a reading that leads to a route that asks as much is no reason to refuse', () => {
  assert.equal(outcome(guarded, { path: '/Open/Page/' }), 'open')
  const two = [
    route('admin', { match: { paths: ['/admin/*'] }, access: requiredAccess }),
    route('rest', { access: requiredAccess }),
  ]
  assert.equal(outcome(two, { path: '/ADMIN' }), 'rest')
})

test('a reading that leads to no route is no reason to refuse', () => {
  assert.equal(outcome([route('docs', { match: { paths: ['/Docs/*'] } })], { path: '/Docs/A' }), 'docs')
})

test('letter case counts in a path that is not guarded', () => {
  assert.equal(outcome([route('docs', { match: { paths: ['/Docs'] } })], { path: '/docs' }), 'ERR_ROUTE_NOT_FOUND')
})

const allowing = [route('files', { match: { paths: ['/files/*'] }, ambiguousPaths: 'allow' }), ...guarded]
const ambiguous: [why: string, path: string, expected: string][] = [
  ['every reading stays inside', '/files/a%2Fb', 'files'],
  ['dot segments stay inside', '/files/a/../b', 'files'],
  ['slashes stay inside', '/files//a', 'files'],
  ['dot segments lead out', '/files/../open', 'ERR_TARGET_AMBIGUOUS'],
  ['encoded dot segments lead out', '/files/%2e%2e/admin', 'ERR_TARGET_AMBIGUOUS'],
  ['encoded slashes lead out', '/files/..%2fadmin', 'ERR_TARGET_AMBIGUOUS'],
  ['another route has it', '/open/a%2Fb', 'ERR_TARGET_AMBIGUOUS'],
  ['letter case leads to another route', '/files/../FILES/x', 'ERR_TARGET_AMBIGUOUS'],
]
for (const [why, path, expected] of ambiguous) {
  test(`a route that allows ambiguous paths: ${why}`, () => assert.equal(outcome(allowing, { path }), expected))
}

test('an ambiguous path is refused before anybody is told that there is no route for it', () => {
  assert.equal(outcome([route('a', { match: { paths: ['/a'] } })], { path: '/b%2Fc' }), 'ERR_TARGET_AMBIGUOUS')
})

const finalSlash: [why: string, routes: RoutedRule[], path: string, expected: string][] = [
  [
    'a guarded path with a slash guards the one without',
    [route('admin', { match: { paths: ['/admin/'] }, access: requiredAccess }), route('open')],
    '/admin',
    'ERR_TARGET_AMBIGUOUS',
  ],
  [
    'a guarded path without a slash guards the one with it',
    [route('admin', { match: { paths: ['/admin'] }, access: requiredAccess }), route('open')],
    '/admin/',
    'ERR_TARGET_AMBIGUOUS',
  ],
  [
    'a public page in front of a guarded everything is reached',
    [route('login', { match: { paths: ['/login'] } }), route('rest', { access: requiredAccess })],
    '/login',
    'login',
  ],
  [
    'both spellings of a public page are reached',
    [route('login', { match: { paths: ['/login', '/login/'] } }), route('rest', { access: requiredAccess })],
    '/login/',
    'login',
  ],
  [
    'a public page with a slash alone is refused: without it, it is guarded',
    [route('login', { match: { paths: ['/login/'] } }), route('rest', { access: requiredAccess })],
    '/login/',
    'ERR_TARGET_AMBIGUOUS',
  ],
  [
    'a guarded path in capitals guards the one in small letters',
    [route('admin', { match: { paths: ['/Admin/*'] }, access: requiredAccess }), route('open')],
    '/admin/x',
    'ERR_TARGET_AMBIGUOUS',
  ],
  [
    'a guarded path in capitals guards those in other letters',
    [route('admin', { match: { paths: ['/Admin/*'] }, access: requiredAccess }), route('open')],
    '/ADMIN/x',
    'ERR_TARGET_AMBIGUOUS',
  ],
  [
    'who names both spellings means both',
    [
      route('old', { match: { paths: ['/API/*'] }, access: requiredAccess }),
      route('new', { match: { paths: ['/api/*'] } }),
      route('rest', { access: requiredAccess }),
    ],
    '/api/x',
    'new',
  ],
  [
    'who names one spelling only for other methods does not mean both',
    [
      route('admin', { match: { paths: ['/Admin'] }, access: requiredAccess }),
      route('read', { match: { paths: ['/admin'], methods: ['GET'] } }),
      route('open'),
    ],
    '/Admin;x',
    'ERR_TARGET_AMBIGUOUS',
  ],
]
for (const [why, routes, path, expected] of finalSlash) {
  test(why, () => assert.equal(outcome(routes, { path }), expected))
}

test('facts of a refusal name the two routes', () => {
  const table = compileRouteTable(guarded, [])
  const select = () => table.select({ method: 'GET', host: 'x', target: targetOf('/ADMIN') })
  assert.throws(select, (error) => {
    assert.ok(error instanceof GatewayError)
    assert.deepEqual(error.facts, { route: 'open', otherRoute: 'admin' })
    return true
  })
})

test('a table with a malformed pattern is a mistake of whoever compiles it', () => {
  assert.throws(() => compileRouteTable([route('a', { match: { paths: ['/a*'] } })], []), TypeError)
  assert.throws(() => compileRouteTable([route('a')], ['a:80']), TypeError)
})

// Properties

const segment = fc.constantFrom('a', 'b', 'c', 'ab')
const plainPath = fc.array(segment, { maxLength: 3 }).map((segments) => `/${segments.join('/')}`)
const pattern = fc.oneof(
  plainPath,
  plainPath.map((path) => (path === '/' ? '/*' : `${path}/*`)),
)
const host = fc.constantFrom('x.example', 'a.x.example', 'b.x.example', 'y.example', 'a.a.x.example')
const hostPattern = fc.oneof(host, fc.constantFrom('*.x.example', '*.example'))
const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT')
const rule = fc.record({
  hosts: fc.array(hostPattern, { maxLength: 2 }),
  paths: fc.array(pattern, { maxLength: 2 }),
  methods: fc.array(method, { maxLength: 2 }),
  access: fc.constantFrom(publicAccess, requiredAccess, { ...requiredAccess, require: ['a'] }),
})
const anyTable = fc
  .array(rule, { maxLength: 12 })
  .map((rules) => rules.map(({ access, ...match }, number) => route(`r${number}`, { match, access })))

/** The law as it is written, one route after the other. */
function firstRoute(routes: readonly RoutedRule[], asked: Required<Asked>): RoutedRule | undefined {
  const takesHost = (wanted: string): boolean =>
    wanted.startsWith('*.')
      ? asked.host.endsWith(wanted.slice(1)) && !asked.host.slice(0, 1 - wanted.length).includes('.')
      : wanted === asked.host
  const takesPath = (wanted: string): boolean =>
    wanted.endsWith('/*')
      ? asked.path === wanted.slice(0, -2) || asked.path.startsWith(wanted.slice(0, -1))
      : asked.path === wanted
  const takesMethod = (wanted: string): boolean =>
    wanted === asked.method || (wanted === 'GET' && asked.method === 'HEAD')
  return routes.find(
    ({ match: { hosts, paths, methods } }) =>
      (hosts.length === 0 || hosts.some(takesHost)) &&
      (paths.length === 0 || paths.some(takesPath)) &&
      (methods.length === 0 || methods.some(takesMethod)),
  )
}

test('the table says what a walk over the routes says', () => {
  fc.assert(
    fc.property(anyTable, host, method, plainPath, (routes, host, method, path) => {
      const expected = firstRoute(routes, { host, method, path })
      const result = outcome(routes, { host, method, path }, ['*.x.example', 'x.example', 'y.example', 'a.a.x.example'])
      assert.equal(result, expected?.id ?? 'ERR_ROUTE_NOT_FOUND')
    }),
    { numRuns: 500 },
  )
})

const disguise = fc.constantFrom<(path: string) => string>(
  (path) => path.toUpperCase(),
  (path) => `${path}/`,
  (path) => path.replace('a', '%61'),
  (path) => path.replace('a', '%41'),
  (path) => `${path};v=1`,
  (path) => path.replace('b', 'b;x'),
  (path) => path.replace('b', '%2562'),
)
const disguises = fc.array(disguise, { minLength: 1, maxLength: 3 })

test('no reading of a target leads to a route that asks more than the selected one', () => {
  fc.assert(
    fc.property(anyTable, plainPath, disguises, (routes, path, disguises) => {
      const disguised = disguises.reduce((text, change) => change(text), path)
      const { path: seen, readings, ambiguous } = targetOf(disguised)
      const asked = { host: 'x.example', method: 'GET' }
      const selected = firstRoute(routes, { ...asked, path: seen })
      const isGuardedBetter = readings.some((reading) => {
        const other = firstRoute(routes, { ...asked, path: reading })
        return selected !== undefined && other !== undefined && !asksAtLeast(selected.access, other.access)
      })
      const result = outcome(routes, { ...asked, path: disguised }, ['x.example'])
      if (ambiguous || isGuardedBetter) assert.equal(result, 'ERR_TARGET_AMBIGUOUS')
      else assert.equal(result, selected?.id ?? 'ERR_ROUTE_NOT_FOUND')
    }),
    { numRuns: 500 },
  )
})

const spelled = fc
  .array(fc.constantFrom('admin', 'Admin', 'x', 'ADMIN'), { minLength: 1, maxLength: 2 })
  .map((segments) => `/${segments.join('/')}`)
const ending = fc.constantFrom('', '/', '/*')
const spelling = fc.constantFrom<(path: string) => string>(
  (path) => path,
  (path) => path.toLowerCase(),
  (path) => path.toUpperCase(),
  (path) => `${path}/`,
  (path) => `/${path}`,
  (path) => path.replace('a', '%61'),
  (path) => `${path};foo=bar`,
)

test('however a guarded path is written in the file and in the request, it is guarded or refused', () => {
  fc.assert(
    fc.property(spelled, ending, fc.array(spelling, { maxLength: 3 }), (path, ending, spellings) => {
      const routes = [route('guarded', { match: { paths: [path + ending] }, access: requiredAccess }), route('open')]
      const result = outcome(routes, { path: spellings.reduce((text, change) => change(text), path) })
      assert.ok(result === 'guarded' || result === 'ERR_TARGET_AMBIGUOUS', result)
    }),
    { numRuns: 1000 },
  )
})
