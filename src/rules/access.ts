import { type JsonText, readPath, type SessionData } from '../django/json.ts'
import { isTruthy } from '../django/truthiness.ts'
import { compileExpression, type Expression, type ExpressionSubject } from './expressions.ts'
import type { AccessRule } from './rule.ts'

/** What a rule is asked about: one request, and the session that came with it. */
export type AccessSubject = ExpressionSubject

/** What came of a rule, apart from its mode: an observing rule decides like an enforcing one. */
export interface AccessDecision {
  /** `login`: a no for somebody who is not logged in, who may have more success afterwards. */
  readonly outcome: 'allow' | 'login' | 'forbidden'
  /**
   * Why. For `allow`: `public` (nothing was asked), `user` (somebody is logged in), `rule` (`require` and `allow` hold).
   * For the others: `no_session` (there is no session, or an empty one), `missing_key` (the key that tells a login, or
   * one of `require`, is missing or falsy), `rule` (`allow` came out false), `rule_error` (`allow` could not be told).
   */
  readonly reason: 'public' | 'user' | 'rule' | 'no_session' | 'missing_key' | 'rule_error'
  readonly loggedIn: boolean
  /** The path in `require` that is missing, or the kind of failure of `allow`; for the log, never a value. */
  readonly detail?: string
}

/** A no, before it is known whether it is one for a guest or for somebody who is logged in. */
interface Objection {
  readonly reason: 'missing_key' | 'rule' | 'rule_error'
  readonly detail?: string
}

/**
 * Compiles what a route asks (contract of the decision: `public`, `optional`, `required`, `require`, `allow`). Somebody
 * is logged in when the session's `authKey` is truthy in Python's sense.
 *
 * @param authKey a top-level key of the session
 * @throws {ExpressionError} if `allow` is no expression. @throws {TypeError} if a public rule asks for something, or a
 * path in `require` has an empty step; the configuration is checked for both before.
 */
export function compileAccess(rule: AccessRule, authKey: string): (subject: AccessSubject) => AccessDecision {
  const findObjection = compileObjection(rule)
  const asksMore = rule.require.length > 0 || rule.allow !== undefined
  if (rule.auth === 'public' && asksMore) throw new TypeError('a public route cannot ask for anything')

  return (subject) => {
    const loggedIn = isTruthy(subject.data.get(authKey))
    if (rule.auth === 'required' && !loggedIn) {
      return refusal(subject, { reason: 'missing_key', detail: authKey }, loggedIn)
    }
    const objection = findObjection(subject)
    if (objection !== undefined) return refusal(subject, objection, loggedIn)
    if (asksMore) return { outcome: 'allow', reason: 'rule', loggedIn }
    return { outcome: 'allow', reason: rule.auth !== 'public' && loggedIn ? 'user' : 'public', loggedIn }
  }
}

function compileObjection(rule: AccessRule): (subject: AccessSubject) => Objection | undefined {
  const required = rule.require.map((path) => ({ path, steps: compileDottedPath(path) }))
  const allow: Expression | undefined = rule.allow === undefined ? undefined : compileExpression(rule.allow)

  return (subject) => {
    const missing = required.find(({ steps }) => !isTruthy(valueAt(subject.data, steps)))
    if (missing !== undefined) return { reason: 'missing_key', detail: missing.path }
    const verdict = allow?.evaluate(subject)
    if (verdict === undefined || verdict.holds) return undefined
    return verdict.failure === undefined ? { reason: 'rule' } : { reason: 'rule_error', detail: verdict.failure }
  }
}

function compileDottedPath(path: string): readonly string[] {
  const steps = path.split('.')
  if (steps.includes('')) throw new TypeError(`${JSON.stringify(path)} is not a dotted path`)
  return steps
}

function valueAt(data: SessionData, steps: readonly string[]): JsonText | undefined {
  const [first = '', ...rest] = steps
  return rest.length === 0 ? data.get(first) : readPath(data, steps)
}

function refusal(subject: AccessSubject, objection: Objection, loggedIn: boolean): AccessDecision {
  const outcome = loggedIn ? 'forbidden' : 'login'
  if (subject.data.size === 0) return { outcome, reason: 'no_session', loggedIn }
  return { outcome, ...objection, loggedIn }
}
