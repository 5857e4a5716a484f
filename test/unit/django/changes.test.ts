import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyChanges, RESERVED_KEY, type SessionChanges } from '../../../src/django/changes.ts'
import { EXPIRY_KEY, type ExpiryRules } from '../../../src/django/expiry.ts'

const rules: ExpiryRules = { cookieAgeSeconds: 1_209_600, expireAtBrowserClose: false, dates: 'iso', useTz: true }
const now = Date.UTC(2026, 0, 1)

const stored: [string, string][] = [
  ['lang', '"de"'],
  ['cart', '{"n":1.0}'],
  [RESERVED_KEY, '{"created":1}'],
  [EXPIRY_KEY, '300'],
]

function apply(changes: Partial<SessionChanges>): [string, string][] {
  const none: SessionChanges = { flush: false, clear: false, delete: [], set: new Map(), cycleKey: false }
  return [...applyChanges(new Map(stored), { ...none, ...changes }, rules, now)]
}

const kept: [string, string] = [RESERVED_KEY, '{"created":1}']

const cases: [why: string, changes: Partial<SessionChanges>, after: [string, string][]][] = [
  ['nothing asked, nothing changed', {}, stored],
  ['cycle-key does not touch the data', { cycleKey: true }, stored],
  [
    'a key that is set again keeps its place, a new one comes last',
    {
      set: new Map([
        ['cart', '[]'],
        ['new', 'null'],
      ]),
    },
    [['lang', '"de"'], ['cart', '[]'], ...stored.slice(2), ['new', 'null']],
  ],
  ['deleting takes keys out, absent ones are fine', { delete: ['lang', 'nothing', EXPIRY_KEY] }, stored.slice(1, 3)],
  [
    'delete comes before set, so a key in both is set, and comes last',
    { delete: ['lang'], set: new Map([['lang', '"en"']]) },
    [...stored.slice(1), ['lang', '"en"']],
  ],
  ['clear takes everything but the reserved key, the expiry too', { clear: true }, [kept]],
  ['flush takes the reserved key too: what follows is another session', { flush: true }, []],
  ['flush comes before set', { flush: true, set: new Map([['a', '1']]) }, [['a', '1']]],
  ['clear comes before set', { clear: true, set: new Map([['a', '1']]) }, [kept, ['a', '1']]],
  ['an expiry is stored', { expiry: { kind: 'seconds', seconds: 60 } }, [...stored.slice(0, 3), [EXPIRY_KEY, '60']]],
  ['the default expiry takes the stored one out', { expiry: { kind: 'default' } }, stored.slice(0, 3)],
  [
    'expiry comes last',
    { clear: true, set: new Map([[EXPIRY_KEY, '1']]), expiry: { kind: 'date', at: Date.UTC(2030, 0, 1) } },
    [kept, [EXPIRY_KEY, '"2030-01-01T00:00:00+00:00"']],
  ],
  ['__proto__ is a key like any other', { set: new Map([['__proto__', '{}']]) }, [...stored, ['__proto__', '{}']]],
]
for (const [why, changes, after] of cases) {
  test(why, () => assert.deepEqual(apply(changes), after))
}

test('the data given in stays as it is', () => {
  const before = new Map(stored)
  const changes: SessionChanges = {
    flush: true,
    clear: false,
    delete: ['lang'],
    set: new Map([['a', '1']]),
    expiry: { kind: 'default' },
    cycleKey: false,
  }
  applyChanges(before, changes, rules, now)
  assert.deepEqual([...before], stored)
})
