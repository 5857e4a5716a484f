import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type OnDeny, refusalFor } from '../../../src/rules/refusal.ts'

const cases: [why: string, onDeny: OnDeny, isNavigation: boolean, method: string, status: number][] = [
  ['a person who opens a page goes to the login', 'auto', true, 'GET', 302],
  ['HEAD is answered as GET', 'auto', true, 'HEAD', 302],
  ['a form is not sent on to the login page', 'auto', true, 'POST', 303],
  ['a program gets a status', 'auto', false, 'GET', 401],
  ['a route may send everybody to the login', 'redirect', false, 'GET', 302],
  ['a route may send everybody to the login, also a form', 'redirect', false, 'PUT', 303],
  ['a route may give a status to everybody', 'status', true, 'GET', 401],
]
for (const [why, onDeny, isNavigation, method, status] of cases) {
  test(why, () => {
    const kind = status === 401 ? 'status' : 'redirect'
    assert.deepEqual(refusalFor({ outcome: 'login', onDeny, isNavigation, method }), { kind, status })
  })
}

for (const onDeny of ['auto', 'redirect', 'status'] as const) {
  test(`who is logged in is never sent to the login again (on_deny: ${onDeny})`, () => {
    const refusal = refusalFor({ outcome: 'forbidden', onDeny, isNavigation: true, method: 'GET' })
    assert.deepEqual(refusal, { kind: 'status', status: 403 })
  })
}
