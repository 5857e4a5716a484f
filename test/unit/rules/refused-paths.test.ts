import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findRefusedPaths } from '../../../src/rules/refused-paths.ts'
import type { RoutedRule } from '../../../src/rules/rule.ts'
import { requiredAccess, route } from './samples.ts'

const rest = route('rest', { access: requiredAccess })

const cases: [why: string, routes: RoutedRule[], hosts: string[], expected: string[]][] = [
  ['a public path beside its slash', [route('login', { match: { paths: ['/login', '/login/'] } }), rest], [], []],
  [
    'a public path with its slash alone',
    [route('login', { match: { paths: ['/x', '/login/'] } }), rest],
    [],
    ['login /login/ rest'],
  ],
  ['a public path in capitals', [route('docs', { match: { paths: ['/Docs/*'] } }), rest], [], ['docs /Docs/* rest']],
  [
    'a public path in capitals where all is public',
    [route('docs', { match: { paths: ['/Docs'] } }), route('rest')],
    [],
    [],
  ],
  [
    'a guarded path in capitals',
    [route('docs', { match: { paths: ['/Docs'] }, access: requiredAccess }), rest],
    [],
    [],
  ],
  [
    'the host and the method of the route are asked for',
    [route('login', { match: { hosts: ['*.a.example'], paths: ['/login/'], methods: ['POST'] } }), rest],
    ['b.example'],
    ['login /login/ rest'],
  ],
  [
    'a stricter route for another host does no harm',
    [
      route('login', { match: { hosts: ['a.example'], paths: ['/login/'] } }),
      route('other', { match: { hosts: ['b.example'] }, access: requiredAccess }),
    ],
    [],
    [],
  ],
  ['a route without paths', [route('all'), rest], ['*.example'], []],
]
for (const [why, routes, hosts, expected] of cases) {
  test(why, () => {
    const found = findRefusedPaths(routes, hosts).map(({ id, path, stricter }) => `${id} ${path} ${stricter}`)
    assert.deepEqual(found, expected)
  })
}
