import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findUnreachableRoutes } from '../../../src/rules/reachability.ts'
import { compileRouteTable } from '../../../src/rules/route-table.ts'
import type { RouteMatch } from '../../../src/rules/rule.ts'
import { route, targetOf } from './samples.ts'

type Matches = Partial<RouteMatch>[]

const cases: [why: string, matches: Matches, expected: Record<string, string>][] = [
  ['routes beside each other', [{ paths: ['/a/*'] }, { paths: ['/b/*'] }], {}],
  ['a narrow route before a wide one', [{ paths: ['/a'] }, { paths: ['/*'] }], {}],
  ['a wide route before a narrow one', [{ paths: ['/*'] }, { paths: ['/a'] }], { r1: 'r0' }],
  ['a route without paths takes all', [{}, { paths: ['/a'] }], { r1: 'r0' }],
  ['the same path twice', [{ paths: ['/a'] }, { paths: ['/a'] }], { r1: 'r0' }],
  ['a path below covers the path itself', [{ paths: ['/a/*'] }, { paths: ['/a', '/a/'] }], { r1: 'r0' }],
  ['a path does not cover what is below', [{ paths: ['/a'] }, { paths: ['/a/*'] }], {}],
  ['a longer name is not below', [{ paths: ['/a/*'] }, { paths: ['/ab'] }], {}],
  ['one path of two is left', [{ paths: ['/a/*'] }, { paths: ['/a/x', '/b'] }], {}],
  [
    'two paths by two routes',
    [{ paths: ['/a/*'] }, { paths: ['/b/*'] }, { paths: ['/a/x', '/b/x'] }],
    { r2: 'r0, r1' },
  ],
  ['a named host does not cover any host', [{ hosts: ['a.x'] }, {}], {}],
  ['any host covers a named one', [{}, { hosts: ['a.x'] }], { r1: 'r0' }],
  ['an asterisk covers a name', [{ hosts: ['*.x'] }, { hosts: ['a.x'] }], { r1: 'r0' }],
  ['an asterisk does not cover two labels', [{ hosts: ['*.x'] }, { hosts: ['a.b.x'] }], {}],
  ['a name does not cover an asterisk', [{ hosts: ['a.x'] }, { hosts: ['*.x'] }], {}],
  ['the same asterisk twice', [{ hosts: ['*.x'] }, { hosts: ['*.x'] }], { r1: 'r0' }],
  ['one method does not cover any', [{ methods: ['GET'] }, {}], {}],
  ['any method covers one', [{}, { methods: ['GET'] }], { r1: 'r0' }],
  ['GET covers HEAD', [{ methods: ['GET'] }, { methods: ['HEAD'] }], { r1: 'r0' }],
  ['HEAD does not cover GET', [{ methods: ['HEAD'] }, { methods: ['GET'] }], {}],
  [
    'methods by several routes',
    [{ methods: ['GET'] }, { paths: ['/x'] }, { methods: ['POST'] }, { methods: ['POST', 'GET'] }],
    { r3: 'r0, r2' },
  ],
  ['one method is left', [{ methods: ['GET'] }, { methods: ['POST', 'GET'] }], {}],
  [
    'every method that one can name is not any method',
    [{ methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] }, {}],
    {},
  ],
]
for (const [why, matches, expected] of cases) {
  test(why, () => {
    const routes = matches.map((match, number) => route(`r${number}`, { match }))
    const found = findUnreachableRoutes(routes).map(({ id, coveredBy }) => [id, coveredBy])
    assert.deepEqual(Object.fromEntries(found), expected)
  })
}

const hosts = ['x.example', 'a.x.example', 'y.example']
const paths = ['/', '/a', '/a/b', '/b', '/b/a']
const methods = ['GET', 'HEAD', 'POST']
const anyMatch = fc.record({
  hosts: fc.subarray(['x.example', 'a.x.example', '*.x.example', 'y.example']),
  paths: fc.subarray(['/a', '/a/*', '/b', '/b/*', '/*'], { minLength: 1 }),
  methods: fc.subarray(methods),
})

test('a route called unreachable is never selected', () => {
  fc.assert(
    fc.property(fc.array(anyMatch, { minLength: 2, maxLength: 6 }), (matches) => {
      const routes = matches.map((match, number) => route(`r${number}`, { match }))
      const unreachable = new Set(findUnreachableRoutes(routes).map(({ id }) => id))
      const table = compileRouteTable([...routes, route('rest')], hosts)
      for (const host of hosts) {
        for (const path of paths) {
          for (const method of methods) {
            const { id } = table.select({ host, method, target: targetOf(path) })
            assert.ok(!unreachable.has(id), `${id} takes ${method} ${host}${path}`)
          }
        }
      }
    }),
    { numRuns: 200 },
  )
})
