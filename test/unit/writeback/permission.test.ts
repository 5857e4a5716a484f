import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GatewayError } from '../../../src/errors.ts'
import type { Commands } from '../../../src/writeback/commands.ts'
import {
  type CommandName,
  commandsOf,
  compilePermission,
  exceeds,
  narrow,
  reservedNames,
  type WritebackRules,
} from '../../../src/writeback/permission.ts'

const nothing: Commands = { flush: false, clear: false, delete: [], set: new Map(), cycleKey: false }

const setting = (...keys: string[]): Commands => ({ ...nothing, set: new Map(keys.map((key) => [key, '1'])) })
const deleting = (...keys: string[]): Commands => ({ ...nothing, delete: keys })

const asking: Record<CommandName, Commands> = {
  flush: { ...nothing, flush: true },
  clear: { ...nothing, clear: true },
  'cycle-key': { ...nothing, cycleKey: true },
  expiry: { ...nothing, expiry: { kind: 'default' } },
}

function refusalOf(rules: WritebackRules | undefined, commands: Commands): unknown {
  try {
    compilePermission(rules).check(commands)
    return undefined
  } catch (error) {
    assert.ok(error instanceof GatewayError, String(error))
    assert.equal(error.code, 'ERR_WRITEBACK_REFUSED')
    return error.facts
  }
}

test('without rules every command is refused, and asking nothing is fine', () => {
  assert.deepEqual(refusalOf(undefined, setting('cart')), {
    reason: 'not_allowed',
    header: 'X-Session-Set',
    key: 'cart',
  })
  assert.deepEqual(refusalOf(undefined, deleting('cart')), {
    reason: 'not_allowed',
    header: 'X-Session-Delete',
    key: 'cart',
  })
  assert.deepEqual(refusalOf(undefined, asking.flush), {
    reason: 'not_allowed',
    header: 'X-Session-Command',
    key: 'flush',
  })
  assert.equal(refusalOf(undefined, nothing), undefined)
})

test('names are exact, and the first that is not allowed is named', () => {
  const rules = { allow: ['cart', '_auth_user_id'] }
  assert.equal(refusalOf(rules, setting('cart', '_auth_user_id')), undefined)
  assert.equal(refusalOf(rules, deleting('cart')), undefined)
  for (const key of ['Cart', 'cart ', 'cart.n', 'car', '', '_auth_user_hash']) {
    assert.deepEqual(
      refusalOf(rules, setting('cart', key)),
      { reason: 'not_allowed', header: 'X-Session-Set', key },
      key,
    )
  }
})

test('the star is every name that does not begin with an underscore, and those are named one by one', () => {
  assert.equal(refusalOf({ allow: ['*'] }, setting('cart', 'naïve', '', '*', 'a_b')), undefined)
  assert.deepEqual(refusalOf({ allow: ['*'] }, setting('_x')), {
    reason: 'not_allowed',
    header: 'X-Session-Set',
    key: '_x',
  })
  assert.equal(refusalOf({ allow: ['*', '_x'] }, setting('_x', 'y')), undefined)
})

test('reserved names stay refused where the rules name them', () => {
  for (const key of ['_session_expiry', '_gw', '_gw2', '__proto__', 'constructor', 'prototype']) {
    const rules = { allow: ['*', key] }
    assert.deepEqual(refusalOf(rules, setting(key)), { reason: 'reserved', header: 'X-Session-Set', key })
    assert.deepEqual(refusalOf(rules, deleting(key)), { reason: 'reserved', header: 'X-Session-Delete', key })
    assert.deepEqual(reservedNames(rules), [key])
  }
})

test('commands are none by default, all with the star, else those that are named', () => {
  const cases: [why: string, rules: WritebackRules, permitted: CommandName[]][] = [
    ['names alone', { allow: ['cart'] }, []],
    ['no names', { allow: [] }, []],
    ['the star', { allow: ['*'] }, ['flush', 'clear', 'cycle-key', 'expiry']],
    ['the star, but none', { allow: ['*'], commands: [] }, []],
    ['named', { allow: ['cart'], commands: ['expiry'] }, ['expiry']],
    ['only commands', { allow: [], commands: ['flush', 'cycle-key'] }, ['flush', 'cycle-key']],
  ]
  for (const [why, rules, permitted] of cases) {
    assert.deepEqual(commandsOf(rules), permitted, why)
    assert.deepEqual(commandsOf(undefined), [])
    for (const name of ['flush', 'clear', 'cycle-key', 'expiry'] as const) {
      const header = name === 'expiry' ? 'X-Session-Expiry' : 'X-Session-Command'
      const expected = permitted.includes(name) ? undefined : { reason: 'not_allowed', header, key: name }
      assert.deepEqual(refusalOf(rules, asking[name]), expected, `${why}: ${name}`)
    }
  }
})

test('a route permits what both it and its upstream permit', () => {
  const cases: [
    why: string,
    upstream: WritebackRules | undefined,
    route: WritebackRules | undefined,
    narrowed: WritebackRules,
  ][] = [
    ['no rules at all', undefined, undefined, { allow: [], commands: [] }],
    ['a route cannot begin', undefined, { allow: ['*'] }, { allow: [], commands: [] }],
    [
      'a silent route has its upstream’s',
      { allow: ['cart'], commands: ['expiry'] },
      undefined,
      { allow: ['cart'], commands: ['expiry'] },
    ],
    [
      'fewer names, and with them no commands',
      { allow: ['*'] },
      { allow: ['cart'] },
      { allow: ['cart'], commands: [] },
    ],
    [
      'commands said again',
      { allow: ['*'] },
      { allow: ['cart'], commands: ['flush'] },
      { allow: ['cart'], commands: ['flush'] },
    ],
    [
      'more is left out',
      { allow: ['cart'], commands: [] },
      { allow: ['cart', 'b'], commands: ['flush'] },
      { allow: ['cart'], commands: [] },
    ],
    ['a star below names is the names', { allow: ['cart', '_x'] }, { allow: ['*'] }, { allow: ['cart'], commands: [] }],
    [
      'a star below a star',
      { allow: ['*', '_x'] },
      { allow: ['*'] },
      { allow: ['*'], commands: ['flush', 'clear', 'cycle-key', 'expiry'] },
    ],
    ['an underscore needs its name', { allow: ['*'] }, { allow: ['_x'] }, { allow: [], commands: [] }],
  ]
  for (const [why, upstream, route, narrowed] of cases) assert.deepEqual(narrow(upstream, route), narrowed, why)
})

test('what a route names beyond its upstream is told', () => {
  const cases: [route: WritebackRules, upstream: WritebackRules | undefined, beyond: string[]][] = [
    [{ allow: ['cart'] }, { allow: ['*'] }, []],
    [{ allow: ['*'] }, { allow: ['*'], commands: ['expiry'] }, []],
    [{ allow: ['cart'] }, undefined, ['allow: cart']],
    [{ allow: ['*', '_x'] }, { allow: ['cart'] }, ['allow: *', 'allow: _x']],
    [{ allow: ['a'], commands: ['flush', 'expiry'] }, { allow: ['a'], commands: ['expiry'] }, ['commands: flush']],
    [{ allow: ['_x'] }, { allow: ['*'] }, ['allow: _x']],
  ]
  for (const [route, upstream, beyond] of cases)
    assert.deepEqual(exceeds(route, upstream), beyond, JSON.stringify(route))
})
