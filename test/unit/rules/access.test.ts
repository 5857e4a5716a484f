import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AccessDecision, type AccessSubject, compileAccess } from '../../../src/rules/access.ts'
import { ExpressionError } from '../../../src/rules/expressions.ts'
import type { AccessRule } from '../../../src/rules/rule.ts'

type Data = Record<string, string>

const base: AccessRule = { auth: 'optional', require: [], mode: 'enforce', crossSite: 'off' }

function subject(data: Data): AccessSubject {
  return {
    data: new Map(Object.entries(data)),
    method: 'GET',
    path: '/',
    host: 'app.example',
    clientIp: '192.0.2.1',
    headers: [],
  }
}

function decide(rule: Partial<AccessRule>, data: Data): AccessDecision {
  return compileAccess({ ...base, ...rule }, 'userInfo')(subject(data))
}

const ada = { userInfo: '{"id":7,"is_staff":true,"role":"ops","tags":["a"]}' }
const guest = { cart: '{"n":1}' }
const nobody = {}

type Case = [why: string, rule: Partial<AccessRule>, data: Data, outcome: string, reason: string, detail?: string]

const cases: Case[] = [
  ['public admits nobody', { auth: 'public' }, nobody, 'allow', 'public'],
  ['public admits everybody', { auth: 'public' }, ada, 'allow', 'public'],
  ['optional admits nobody', {}, nobody, 'allow', 'public'],
  ['optional admits a session without a login', {}, guest, 'allow', 'public'],
  ['optional admits a user', {}, ada, 'allow', 'user'],
  ['required sends nobody to the login', { auth: 'required' }, nobody, 'login', 'no_session'],
  [
    'required sends a session without a login there too',
    { auth: 'required' },
    guest,
    'login',
    'missing_key',
    'userInfo',
  ],
  ['required admits a user', { auth: 'required' }, ada, 'allow', 'user'],
  ['a path that is truthy', { require: ['userInfo.is_staff'] }, ada, 'allow', 'rule'],
  ['a path that is missing, for a user', { require: ['userInfo.x'] }, ada, 'forbidden', 'missing_key', 'userInfo.x'],
  ['a path that is missing, for nobody', { require: ['userInfo.x'] }, nobody, 'login', 'no_session'],
  ['a path that is missing, for a guest', { require: ['userInfo.x'] }, guest, 'login', 'missing_key', 'userInfo.x'],
  ['a path that a guest has', { require: ['cart.n'] }, guest, 'allow', 'rule'],
  ['a path of one step', { require: ['cart'] }, guest, 'allow', 'rule'],
  ['a path into an array', { require: ['userInfo.tags.0'] }, ada, 'allow', 'rule'],
  ['a path beyond an array', { require: ['userInfo.tags.1'] }, ada, 'forbidden', 'missing_key', 'userInfo.tags.1'],
  ['the first missing path is told', { require: ['userInfo', 'a', 'b'] }, ada, 'forbidden', 'missing_key', 'a'],
  ['a key that every object has', { require: ['constructor'] }, ada, 'forbidden', 'missing_key', 'constructor'],
  [
    'a key that every object has, deeper',
    { require: ['userInfo.toString'] },
    ada,
    'forbidden',
    'missing_key',
    'userInfo.toString',
  ],
  ['an expression that holds', { allow: 'session.userInfo.role in ["ops", "admin"]' }, ada, 'allow', 'rule'],
  ['an expression that does not hold, for a user', { allow: 'session.userInfo.id == 8' }, ada, 'forbidden', 'rule'],
  ['an expression that does not hold, for a guest', { allow: 'session.cart.n == 2' }, guest, 'login', 'rule'],
  ['an expression that does not hold, for nobody', { allow: 'has(session.x)' }, nobody, 'login', 'no_session'],
  ['an expression that holds for nobody', { allow: 'request.client_ip == "192.0.2.1"' }, nobody, 'allow', 'rule'],
  ['an expression that fails, for a user', { allow: 'session.x == 1' }, ada, 'forbidden', 'rule_error', 'no_such_key'],
  ['an expression that fails, for a guest', { allow: 'session.x == 1' }, guest, 'login', 'rule_error', 'no_such_key'],
  ['an expression that is no boolean', { allow: 'session.userInfo.id' }, ada, 'forbidden', 'rule_error', 'not_bool'],
  [
    'an expression does not replace a login',
    { auth: 'required', allow: 'true' },
    guest,
    'login',
    'missing_key',
    'userInfo',
  ],
  ['paths come before the expression', { require: ['x'], allow: 'true' }, ada, 'forbidden', 'missing_key', 'x'],
]
for (const [why, rule, data, outcome, reason, detail] of cases) {
  test(why, () => {
    const loggedIn = data === ada
    const expected = { outcome, reason, loggedIn, ...(detail === undefined ? {} : { detail }) }
    assert.deepEqual(decide(rule, data), expected)
  })
}

for (const falsy of ['{}', '[]', '""', '0', '0.0', '-0', '0e5', 'null', 'false', '{ }']) {
  test(`a login that is ${falsy} is none, as in Python`, () => {
    const { loggedIn, outcome } = decide({ auth: 'required' }, { userInfo: falsy })
    assert.deepEqual([loggedIn, outcome], [false, 'login'])
  })
}
for (const truthy of ['{"id":0}', '[0]', '"0"', '"false"', '1', '-1', '0.1', 'true', 'NaN']) {
  test(`a login that is ${truthy} is one, as in Python`, () => {
    const { loggedIn, outcome } = decide({ auth: 'required' }, { userInfo: truthy })
    assert.deepEqual([loggedIn, outcome], [true, 'allow'])
  })
}

test('the key that tells a login is the configured one', () => {
  const decide = compileAccess({ ...base, auth: 'required' }, '_auth_user_id')
  assert.equal(decide(subject({ _auth_user_id: '"7"' })).outcome, 'allow')
  assert.equal(decide(subject(ada)).outcome, 'login')
})

test('the mode changes nothing in the decision', () => {
  const decision = decide({ auth: 'required', mode: 'observe' }, nobody)
  assert.deepEqual(decision, { outcome: 'login', reason: 'no_session', loggedIn: false })
})

test('what cannot be compiled is refused at start', () => {
  assert.throws(() => compileAccess({ ...base, allow: 'session.' }, 'userInfo'), ExpressionError)
  assert.throws(() => compileAccess({ ...base, auth: 'public', allow: 'true' }, 'userInfo'), TypeError)
  assert.throws(() => compileAccess({ ...base, auth: 'public', require: ['a'] }, 'userInfo'), TypeError)
  assert.throws(() => compileAccess({ ...base, require: ['a..b'] }, 'userInfo'), TypeError)
  assert.throws(() => compileAccess({ ...base, require: [''] }, 'userInfo'), TypeError)
})

test('whoever passes a stricter rule passes the looser one', () => {
  const value = fc.constantFrom('{}', '{"a":1}', '0', '1', '""', '"x"', 'null')
  const anyData = fc.dictionary(fc.constantFrom('userInfo', 'a', 'b'), value)
  const paths = fc.subarray(['userInfo', 'userInfo.a', 'a', 'b'])
  fc.assert(
    fc.property(anyData, paths, paths, (data, require, more) => {
      const loose = decide({ require }, data)
      const strict = decide({ auth: 'required', require: [...require, ...more] }, data)
      if (strict.outcome === 'allow') assert.equal(loose.outcome, 'allow')
      if (loose.outcome !== 'allow') assert.notEqual(strict.outcome, 'allow')
    }),
  )
})
