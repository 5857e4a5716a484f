import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainRoute } from '../../../src/rules/explanation.ts'
import { route } from './samples.ts'

const admin = route('admin', {
  match: { hosts: ['*.example'], paths: ['/admin/*', '/root'], methods: ['GET', 'POST'] },
})

const cases: [why: string, method: string, host: string, path: string, missedBy: string | undefined][] = [
  ['all of it fits', 'GET', 'a.example', '/admin/x', undefined],
  ['HEAD falls under GET', 'HEAD', 'A.Example', '/root', undefined],
  ['the host does not fit', 'GET', 'a.b.example', '/admin/x', 'host'],
  ['the host is named before the path', 'PUT', 'example', '/', 'host'],
  ['the path does not fit', 'GET', 'a.example', '/administrator', 'path'],
  ['the path is named before the method', 'PUT', 'a.example', '/', 'path'],
  ['the method does not fit', 'DELETE', 'a.example', '/admin', 'method'],
]
for (const [why, method, host, path, missedBy] of cases) {
  test(why, () => {
    const expected = missedBy === undefined ? { hit: true } : { hit: false, missedBy }
    assert.deepEqual(explainRoute(admin, { method, host, path }), expected)
  })
}

test('a route that names nothing takes everything', () => {
  assert.deepEqual(explainRoute(route('all'), { method: 'BREW', host: 'x', path: '/pot' }), { hit: true })
})
