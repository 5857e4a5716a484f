import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccessRule } from '../../../src/rules/rule.ts'
import { asksAtLeast } from '../../../src/rules/strictness.ts'

const open: AccessRule = { auth: 'public', require: [], mode: 'enforce', crossSite: 'off' }
const optional: AccessRule = { ...open, auth: 'optional' }
const required: AccessRule = { ...open, auth: 'required' }

const cases: [why: string, selected: AccessRule, other: AccessRule, isEnough: boolean][] = [
  ['a rule asks at least what it asks', required, required, true],
  ['optional asks no more than public', open, optional, true],
  ['a login asks more than nothing', required, open, true],
  ['nothing asks less than a login', open, required, false],
  ['optional asks less than a login', optional, required, false],
  ['a path that is required is missed', required, { ...required, require: ['a'] }, false],
  ['more paths than the other are enough', { ...required, require: ['a', 'b'] }, { ...required, require: ['b'] }, true],
  ['other paths are not', { ...required, require: ['a'] }, { ...required, require: ['b'] }, false],
  ['the same expression is enough', { ...optional, allow: 'a ' }, { ...optional, allow: 'a' }, true],
  ['another expression cannot be judged', { ...required, allow: 'a && b' }, { ...required, allow: 'a' }, false],
  ['an expression is missed', required, { ...required, allow: 'a' }, false],
  ['an expression of the selected one harms nobody', { ...required, allow: 'a' }, required, true],
  ['a look at other sites is missed', required, { ...open, crossSite: 'same-site' }, false],
  ['a look at other sites is enough', { ...open, crossSite: 'same-site' }, { ...open, crossSite: 'same-site' }, true],
  ['who only observes asks nothing', { ...required, mode: 'observe' }, required, false],
  ['who only observes is enough for who asks nothing', { ...required, mode: 'observe' }, open, true],
  ['a rule on trial counts as if it were in force', open, { ...required, mode: 'observe' }, false],
  ['a rule on trial is matched by one in force', required, { ...required, mode: 'observe' }, true],
]
for (const [why, selected, other, isEnough] of cases) {
  test(why, () => assert.equal(asksAtLeast(selected, other), isEnough))
}
