import { applyChanges, RESERVED_KEY, type SessionChanges } from '../django/changes.ts'
import { EXPIRY_KEY, type ExpiryRules } from '../django/expiry.ts'
import { jsonText, parseJsonValue, readPath, type SessionData } from '../django/json.ts'
import { isTruthy } from '../django/truthiness.ts'
import type { EpochMs } from '../lib/clock.ts'
import type { Transition } from './engine.ts'

/** Nothing asked. */
export const noChanges: SessionChanges = {
  flush: false,
  clear: false,
  delete: [],
  set: new Map(),
  cycleKey: false,
}

/** What makes two sessions "the same person": where to look, and what the request began with. */
export interface IdentityRules {
  /** The key whose truthy value means "logged in". */
  readonly authKey: string
  /** Path of the user's id; without it the whole value of `authKey` is the identity. */
  readonly userId?: readonly string[]
}

/** True if somebody is logged in: the value under `authKey` is truthy in Python's sense. */
export function isLoggedIn(data: SessionData, rules: IdentityRules): boolean {
  return isTruthy(data.get(rules.authKey))
}

/** The identity as comparable text, or undefined for nobody. Key order and number spelling inside do not matter. */
export function identityOf(data: SessionData, rules: IdentityRules): string | undefined {
  if (!isLoggedIn(data, rules)) return undefined
  const id = rules.userId && readPath(data, rules.userId)
  return comparable(id ?? data.get(rules.authKey) ?? 'null')
}

/** Deep-sorted JSON, so that `{"a":1,"b":2}` and `{"b":2,"a":1.0}` are one identity. */
function comparable(text: string): string {
  return JSON.stringify(parseJsonValue(text), (_key, value: unknown) => {
    if (typeof value === 'bigint') return `int:${value}`
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}

/** True if the changes make the session logged in, whatever it was before: they set `authKey` to something truthy. */
export function makesLogin(changes: SessionChanges, rules: IdentityRules): boolean {
  return isTruthy(changes.set.get(rules.authKey))
}

export interface MergeContext {
  readonly expiry: ExpiryRules
  readonly identity: IdentityRules
  /** The request began with nobody logged in. */
  readonly beganAnonymous: boolean
  /** The absolute limit of a session's life, in milliseconds; undefined = none. */
  readonly maxAgeMs: number | undefined
  readonly now: EpochMs
}

/**
 * What the stored session becomes under these changes: the pure heart of every write. `now` is what the store holds
 * at this moment, not what the request saw, so parallel answers that touch different keys all survive.
 *
 * The key is cycled when the app asks for it, at a login, and when the identity changes (session fixation: an id that
 * an attacker planted before the login must not be the one that is logged in).
 */
export function mergeChanges(current: SessionData, changes: SessionChanges, context: MergeContext): Transition {
  if (!isEffective(current, changes)) return { kind: 'keep' }
  if (changes.flush && !startsAnew(changes)) return { kind: 'delete' }
  const applied = applyChanges(current, changes, context.expiry, context.now)
  const cycles = changes.flush || changes.cycleKey || isNewIdentity(current, applied, changes, context)
  const restartsClock = changes.flush || identityOf(current, context.identity) !== identityOf(applied, context.identity)
  const data = stampCreation(applied, restartsClock, context)
  return cycles ? { kind: 'cycle', data } : { kind: 'update', data }
}

/**
 * The data of a session that these changes bring into being, or undefined if they bring none: only `set`, an expiry
 * with a value, and cycle-key do, as in Django.
 */
export function createFrom(changes: SessionChanges, context: MergeContext): SessionData | undefined {
  if (!startsAnew(changes)) return undefined
  return stampCreation(applyChanges(new Map(), changes, context.expiry, context.now), true, context)
}

/** The data with which a login replaces a session that vanished while the app answered: this answer's keys only. */
export function replacementFor(changes: SessionChanges, context: MergeContext): SessionData {
  const anew: SessionChanges = { ...changes, flush: false, clear: false, delete: [] }
  return stampCreation(applyChanges(new Map(), anew, context.expiry, context.now), true, context)
}

/** True if the session has lived longer than the absolute limit. Sessions without a stamp (Django's own) have none. */
export function isOverMaxAge(data: SessionData, maxAgeMs: number | undefined, now: EpochMs): boolean {
  const end = maxAgeEnd(data, maxAgeMs)
  return end !== undefined && end <= now
}

/** When a session is over however often it is renewed; undefined without such a limit, and where nothing says how old it is. */
export function maxAgeEnd(data: SessionData, maxAgeMs: number | undefined): EpochMs | undefined {
  if (maxAgeMs === undefined) return undefined
  const created = creationTime(data)
  return created === undefined ? undefined : created + maxAgeMs
}

function startsAnew(changes: SessionChanges): boolean {
  return changes.set.size > 0 || changes.cycleKey || (changes.expiry !== undefined && changes.expiry.kind !== 'default')
}

/** Deleting an absent key, or `default` where no expiry was set, applies nothing; all else counts as a change. */
function isEffective(current: SessionData, changes: SessionChanges): boolean {
  if (changes.flush || changes.clear || startsAnew(changes)) return true
  if (changes.expiry?.kind === 'default' && current.has(EXPIRY_KEY)) return true
  return changes.delete.some((key) => current.has(key))
}

function isNewIdentity(
  before: SessionData,
  after: SessionData,
  changes: SessionChanges,
  context: MergeContext,
): boolean {
  if (!isLoggedIn(after, context.identity)) return false
  if (context.beganAnonymous && makesLogin(changes, context.identity)) return true
  return identityOf(before, context.identity) !== identityOf(after, context.identity)
}

function creationTime(data: SessionData): EpochMs | undefined {
  const text = data.get(RESERVED_KEY)
  const kept: unknown = text === undefined ? undefined : parseJsonValue(text)
  if (typeof kept !== 'object' || kept === null || !('created' in kept)) return undefined
  return typeof kept.created === 'number' ? kept.created * 1000 : undefined
}

function stampCreation(data: SessionData, restart: boolean, context: MergeContext): SessionData {
  if (context.maxAgeMs === undefined) return data
  if (!restart && creationTime(data) !== undefined) return data
  return new Map(data).set(RESERVED_KEY, jsonText({ created: Math.floor(context.now / 1000) }))
}
