import type { SessionData } from '../django/json.ts'
import type { EpochMs } from '../lib/clock.ts'

/** Why a key that looked like one leads to no session. `bad_signature` and `malformed` rows are left as they are. */
export type AbsenceReason = 'expired' | 'not_found' | 'bad_signature' | 'malformed'

export type LoadResult = FoundSession | { readonly found: false; readonly reason: AbsenceReason }

export interface FoundSession {
  readonly found: true
  readonly data: SessionData
  readonly expiresAt: EpochMs | undefined
  /**
   * The last moment at which the same may be answered once more from memory, where the store's notices of changes alone do
   * not bound that (cached_db); one that is past means not at all. Undefined = for as long as the store tells of changes.
   */
  readonly keepUntil?: EpochMs
}

/** What a session is to become, computed from what the store holds now. */
export type Transition =
  /** Nothing to store. */
  | { readonly kind: 'keep' }
  /** Same key, this data; the row's expiry is renewed, unless `expiresAt` names the end that it shall have. */
  | { readonly kind: 'update'; readonly data: SessionData; readonly expiresAt?: EpochMs | undefined }
  /** A new key with this data; the old row is gone when the answer comes. */
  | { readonly kind: 'cycle'; readonly data: SessionData }
  /** The row goes. */
  | { readonly kind: 'delete' }

export type TransitionResult =
  /** There is no session under the key any more: nothing was stored, nothing may be revived. */
  | { readonly kind: 'gone'; readonly reason: AbsenceReason }
  | { readonly kind: 'kept'; readonly data: SessionData }
  | { readonly kind: 'stored'; readonly key: string; readonly data: SessionData }
  | { readonly kind: 'deleted' }

export interface SessionEntry {
  readonly key: string
  readonly data: SessionData
  readonly expiresAt: EpochMs | undefined
}

/** This engine can never keep a session under that key, or none at all. Nothing was stored. The message names no key. */
export class NotAdoptableError extends Error {
  override readonly name = 'NotAdoptableError'
}

/** `admits` tells what a cookie value is before the store is asked: Django's rules, and the gateway's bounds (contract of the cookie). */
export type KeyVerdict = 'ask' | 'unknown' | 'none'

/**
 * Where sessions live. `test/contract/session-engine.ts` is the definition that every engine passes. "No such session"
 * is a value, never an error; an expired row counts as none.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` from any method when the store fails or exceeds its deadline, with the
 * driver's error as `cause`. After a failed `create`, `transition` or `delete` the outcome is unknown; nothing is sent again.
 */
export interface SessionEngine extends AsyncDisposable {
  /** The name in `session.engine`, for logs and metrics. */
  readonly name: string
  /** False for `signed_cookies`: nothing is kept on a server, so there is nothing to list, revoke or race for. */
  readonly isServerSide: boolean
  /** False where some sessions are not told by `entries`: with memcached, which does not know its keys, and in cookies. */
  readonly lists: boolean
  /** What a cookie's value is, without asking the store: no key at all, an unknown key, or one to ask for. */
  admits(cookieValue: string): KeyVerdict
  load(key: string): Promise<LoadResult>
  /** What `load` would give, where it can be had without waiting; undefined: ask `load`. Absent: it never can. */
  loadNow?(key: string): LoadResult | undefined
  /** Stores a new session under a fresh key, insert only, and returns the key. */
  create(data: SessionData): Promise<string>
  /**
   * Stores a session under the key that it has in another store, insert only and with its own end; false if the key is
   * taken, also by an expired or unreadable row. `expiresAt: undefined` (a store that does not tell) counts the age from
   * now, as a save does. One that is over by now is stored as one that nobody finds, or not at all; the answer is true.
   *
   * @throws {NotAdoptableError} when the key is none that this engine can hold.
   */
  adopt(entry: SessionEntry): Promise<boolean>
  /**
   * One atomic step: reads the session as it is now, asks `decide` what it shall be, stores that. `decide` is pure and
   * may be called again when another writer came between; it may throw, and then nothing is stored.
   */
  transition(key: string, decide: (now: SessionData) => Transition): Promise<TransitionResult>
  /** Deletes the session; true if there was one. As everywhere, one that is over or cannot be read counts as none, and stays. */
  delete(key: string): Promise<boolean>
  /**
   * Every unexpired, readable session, in no particular order, streamed. Empty where nothing is kept on a server. Told of
   * the key of each row that is not over and cannot be read, where there are any.
   */
  entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry>
  /**
   * Deletes at most `limit` expired sessions and returns how many; fewer than `limit` means that none is left. Where the
   * store keeps the date beside the data (db), the date alone decides, as in Django.
   */
  clearExpired(limit: number): Promise<number>
  /**
   * How many `clearExpired` would delete now, `limit` at most, told in parts that add up: a part is counted as quickly as a
   * page of a listing is read. Changes nothing. Undefined where the store forgets by itself what is over, so that nothing
   * waits for anybody: in a cache and in cookies.
   */
  countExpired(limit: number): AsyncIterable<number> | undefined
  /** Resolves when the store answers; for readiness. */
  ping(): Promise<void>
}
