import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  isNoticeName,
  noticeName,
  notifyTriggerRemovalSql,
  notifyTriggerSql,
} from '../../../../src/sessions/databases/postgres-notice-trigger.ts'

test('a notice calls a session by the half of the SHA-256 of its key (FIPS 180-2, appendix B.1)', () => {
  assert.equal(noticeName('abc'), 'ba7816bf8f01cfea414140de5dae2223')
  assert.ok(isNoticeName(noticeName('abc')))
})

const strangers: [why: string, payload: string][] = [
  ['nothing', ''],
  ['too short', 'a'.repeat(31)],
  ['too long', 'a'.repeat(33)],
  ['capitals', 'A'.repeat(32)],
  ['a line more', `${'a'.repeat(32)}\n`],
  ['no hex digits', 'z'.repeat(32)],
]
for (const [why, payload] of strangers) {
  test(`a payload that names no session: ${why}`, () => assert.equal(isNoticeName(payload), false))
}

test('the SQL is one transaction, and names the schema where it is given one, however that is called', () => {
  const lines = notifyTriggerSql('a "b"; DROP').trim().split('\n')
  assert.deepEqual([lines[0], lines.at(-1)], ['BEGIN;', 'COMMIT;'])
  const statements = lines.filter((line) => /^(CREATE|DROP|ALTER) /.test(line))
  assert.equal(statements.length, 7)
  for (const statement of statements) assert.match(statement, /(FUNCTION|ON|TABLE) "a ""b""; DROP"\./)
  assert.doesNotMatch(notifyTriggerSql(), /"/)
})

test('whatever is made is removed by name', () => {
  const made = [...notifyTriggerSql().matchAll(/CREATE (?:OR REPLACE )?(TRIGGER|FUNCTION) (\w+)/g)]
  assert.equal(made.length, 3)
  for (const [, kind, name] of made)
    assert.match(notifyTriggerRemovalSql(), new RegExp(`DROP ${kind} IF EXISTS ${name}\\b`))
})
