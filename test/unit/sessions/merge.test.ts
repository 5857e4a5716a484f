import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionChanges } from '../../../src/django/changes.ts'
import type { ExpiryRules } from '../../../src/django/expiry.ts'
import type { SessionData } from '../../../src/django/json.ts'
import type { Transition } from '../../../src/sessions/engine.ts'
import {
  createFrom,
  identityOf,
  isOverMaxAge,
  type MergeContext,
  mergeChanges,
  noChanges,
  replacementFor,
} from '../../../src/sessions/merge.ts'

const expiry: ExpiryRules = { cookieAgeSeconds: 1_209_600, expireAtBrowserClose: false, dates: 'iso', useTz: true }
const now = Date.UTC(2026, 0, 1)

function context(overrides: Partial<MergeContext> = {}): MergeContext {
  const identity = { authKey: 'userInfo' }
  return { expiry, identity, beganAnonymous: false, maxAgeMs: undefined, now, ...overrides }
}

function data(values: Record<string, string>): SessionData {
  return new Map(Object.entries(values))
}

function asked(changes: Partial<SessionChanges>): SessionChanges {
  return { ...noChanges, ...changes }
}

const set = (values: Record<string, string>): SessionChanges => asked({ set: new Map(Object.entries(values)) })

const transitions: [why: string, current: SessionData, changes: SessionChanges, expected: Transition][] = [
  ['nothing asked changes nothing', data({ a: '1' }), noChanges, { kind: 'keep' }],
  ['deleting an absent key applies nothing', data({ a: '1' }), asked({ delete: ['b'] }), { kind: 'keep' }],
  [
    '`default` where no expiry was set applies nothing',
    data({ a: '1' }),
    asked({ expiry: { kind: 'default' } }),
    { kind: 'keep' },
  ],
  [
    '`default` takes an expiry away',
    data({ a: '1', _session_expiry: '300' }),
    asked({ expiry: { kind: 'default' } }),
    { kind: 'update', data: data({ a: '1' }) },
  ],
  [
    'setting the same value is a change, as in Django',
    data({ a: '1' }),
    set({ a: '1' }),
    { kind: 'update', data: data({ a: '1' }) },
  ],
  [
    'untouched values keep their source text',
    data({ a: '1.0', b: '12345678901234567890' }),
    set({ c: '2' }),
    { kind: 'update', data: data({ a: '1.0', b: '12345678901234567890', c: '2' }) },
  ],
  ['clear keeps row and key', data({ a: '1' }), asked({ clear: true }), { kind: 'update', data: data({}) }],
  ['flush alone deletes', data({ a: '1' }), asked({ flush: true }), { kind: 'delete' }],
  [
    'flush with set makes a new session of these keys',
    data({ a: '1' }),
    asked({ flush: true, set: new Map([['b', '2']]) }),
    { kind: 'cycle', data: data({ b: '2' }) },
  ],
  [
    'flush with cycle-key makes an empty new one',
    data({ a: '1' }),
    asked({ flush: true, cycleKey: true }),
    { kind: 'cycle', data: data({}) },
  ],
  [
    'flush with `default` is flush alone',
    data({ a: '1' }),
    asked({ flush: true, expiry: { kind: 'default' } }),
    { kind: 'delete' },
  ],
  ['cycle-key keeps the data', data({ a: '1' }), asked({ cycleKey: true }), { kind: 'cycle', data: data({ a: '1' }) }],
  [
    'a login cycles the key',
    data({ cart: '[1]' }),
    set({ userInfo: '{"name":"bob"}' }),
    { kind: 'cycle', data: data({ cart: '[1]', userInfo: '{"name":"bob"}' }) },
  ],
  [
    'another user cycles the key',
    data({ userInfo: '{"id":1}' }),
    set({ userInfo: '{"id":2}' }),
    { kind: 'cycle', data: data({ userInfo: '{"id":2}' }) },
  ],
  [
    'the same user, spelt differently, does not',
    data({ userInfo: '{"id":1,"name":"bob"}' }),
    set({ userInfo: '{"name":"bob","id":1.0}' }),
    { kind: 'update', data: data({ userInfo: '{"name":"bob","id":1.0}' }) },
  ],
  [
    'logging out by delete does not cycle',
    data({ userInfo: '{"id":1}', cart: '[]' }),
    asked({ delete: ['userInfo'] }),
    { kind: 'update', data: data({ cart: '[]' }) },
  ],
  [
    'setting the login key to something falsy is no login',
    data({ a: '1' }),
    set({ userInfo: '{}' }),
    { kind: 'update', data: data({ a: '1', userInfo: '{}' }) },
  ],
]

for (const [why, current, changes, expected] of transitions) {
  test(why, () => assert.deepEqual(mergeChanges(current, changes, context()), expected))
}

test('a request that began anonymous and logs in cycles, also when another answer stored the same identity meanwhile', () => {
  const current = data({ userInfo: '{"id":1}' })
  const merged = mergeChanges(current, set({ userInfo: '{"id":1}' }), context({ beganAnonymous: true }))
  assert.equal(merged.kind, 'cycle')
})

test('a request that began anonymous and only fills the cart does not cycle what somebody else logged in', () => {
  const current = data({ userInfo: '{"id":1}' })
  assert.equal(mergeChanges(current, set({ cart: '[1]' }), context({ beganAnonymous: true })).kind, 'update')
})

test('with user_id only the id is the identity', () => {
  const identity = { authKey: 'userInfo', userId: ['userInfo', 'id'] }
  const current = data({ userInfo: '{"id":1,"name":"bob"}' })
  const renamed = mergeChanges(current, set({ userInfo: '{"id":1,"name":"robert"}' }), context({ identity }))
  const other = mergeChanges(current, set({ userInfo: '{"id":2,"name":"bob"}' }), context({ identity }))
  assert.deepEqual([renamed.kind, other.kind], ['update', 'cycle'])
})

test('integers beyond 2^53 are told apart', () => {
  const identity = { authKey: 'userInfo' }
  const one = identityOf(data({ userInfo: '9007199254740993' }), identity)
  const other = identityOf(data({ userInfo: '9007199254740992' }), identity)
  assert.notEqual(one, other)
})

test('a session comes into being by set, an expiry with a value and cycle-key, and by nothing else', () => {
  const bringsOne = (changes: SessionChanges): boolean => createFrom(changes, context()) !== undefined
  const expiring = asked({ expiry: { kind: 'seconds', seconds: 300 } })
  assert.deepEqual([set({ a: '1' }), expiring, asked({ cycleKey: true })].map(bringsOne), [true, true, true])
  const nothings = [
    noChanges,
    asked({ clear: true }),
    asked({ flush: true }),
    asked({ delete: ['a'] }),
    asked({ expiry: { kind: 'default' } }),
  ]
  assert.deepEqual(nothings.map(bringsOne), [false, false, false, false, false])
})

test('a login that replaces a vanished session has this answer’s keys only', () => {
  const changes = asked({ delete: ['x'], set: new Map([['userInfo', '1']]) })
  assert.deepEqual(replacementFor(changes, context()), data({ userInfo: '1' }))
})

test('the absolute limit counts from the creation, survives changes and clear, and starts anew at a login', () => {
  const limited = (at: number): MergeContext => context({ maxAgeMs: 3_600_000, now: at })
  const created = createFrom(set({ a: '1' }), limited(now))
  assert.ok(created)
  assert.equal(isOverMaxAge(created, 3_600_000, now + 3_599_999), false)
  assert.equal(isOverMaxAge(created, 3_600_000, now + 3_600_000), true)
  const later = now + 1_800_000
  const cleared = mergeChanges(created, asked({ clear: true }), limited(later))
  assert.deepEqual(cleared, { kind: 'update', data: data({ _gw: `{"created":${now / 1000}}` }) })
  const login = mergeChanges(created, set({ userInfo: '1' }), limited(later))
  assert.equal(login.kind === 'cycle' && login.data.get('_gw'), `{"created":${later / 1000}}`)
})

test('a session without a stamp, which Django made, gets one at its first change', () => {
  const merged = mergeChanges(data({ a: '1' }), set({ b: '2' }), context({ maxAgeMs: 1000 }))
  assert.equal(merged.kind === 'update' && merged.data.has('_gw'), true)
  assert.equal(isOverMaxAge(data({ a: '1' }), 1000, now), false)
})

for (const garbage of ['1', '[]', 'null', '{"created":"x"}', '{"created":null}', '{}']) {
  test(`a stamp that cannot be read (${garbage}) counts as none`, () => {
    assert.equal(isOverMaxAge(data({ _gw: garbage }), 1, now), false)
  })
}
