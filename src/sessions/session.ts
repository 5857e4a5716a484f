import { applyChanges, type SessionChanges } from '../django/changes.ts'
import {
  EXPIRY_KEY,
  type ExpiryRules,
  type ExpirySetting,
  expiresAtBrowserClose,
  expiryAgeSeconds,
  expiryDate,
} from '../django/expiry.ts'
import { type JsonText, jsonText, parseJsonValue, type SessionData } from '../django/json.ts'
import type { Clock, EpochMs } from '../lib/clock.ts'
import type { AbsenceReason } from './engine.ts'
import { noChanges } from './merge.ts'

/** Why there is, or is not, a session behind a cookie: the closed set of the metric `session_resolutions_total`. */
export type Resolution = 'hit' | 'anonymous' | AbsenceReason

/** Django's `SessionBase.TEST_COOKIE_NAME` and `TEST_COOKIE_VALUE`. */
const TEST_COOKIE = { name: 'testcookie', value: 'worked' } as const

export interface Found {
  readonly key: string | undefined
  readonly data: SessionData
  readonly resolution: Resolution
  /** When the store says that it ends; undefined where there is none, or the store does not tell. */
  readonly expiresAt: EpochMs | undefined
  /** The key is unknown because this process cycled it a moment ago: a successor lives, and must not be disturbed. */
  readonly isSuperseded: boolean
}

export interface SaveOptions {
  /** The request began with nobody logged in; default false. */
  readonly beganAnonymous?: boolean
  /** Looks at what would be stored, inside the atomic step; what it throws is thrown, and nothing is stored. */
  readonly check?: (after: SessionData) => void
}

export type SaveResult =
  /** Nothing asked, or nothing that changes anything. */
  | { readonly kind: 'unchanged' }
  /** `reason` is the cookie's: `new` session, `rotated` key, or same key `refreshed`. */
  | {
      readonly kind: 'stored'
      readonly key: string
      readonly data: SessionData
      readonly reason: 'new' | 'rotated' | 'refreshed'
    }
  | { readonly kind: 'deleted' }
  /** The session ended while the app answered: nothing was stored, and no cookie may be sent. */
  | { readonly kind: 'gone' }

/** What a session needs of the place where it lives; `SessionStore` is the one. */
export interface SessionBacking {
  readonly clock: Clock
  readonly expiry: ExpiryRules
  find(cookieValue: string | undefined): Promise<Found>
  /** What `find` would give, where nobody has to be waited for; undefined where somebody has. */
  findNow?(cookieValue: string | undefined): Found | undefined
  save(found: Found, changes: SessionChanges, options: SaveOptions): Promise<SaveResult>
}

/** `session.require(name)` on a missing key: Django's `KeyError` of `session[name]`. */
export class MissingKeyError extends Error {
  override readonly name = 'MissingKeyError'
}

/**
 * One visitor's session with Django's API (`SessionBase`), lazily loaded: the store is asked at the first access.
 *
 * Changes are kept as changes, not as a new whole: `save()` merges them into what the store holds by then, so that
 * parallel requests do not overwrite each other's keys. Values go in and out as JSON values; `text` forms keep the
 * source text, which JavaScript's numbers cannot.
 */
export class Session {
  readonly #backing: SessionBacking
  readonly #cookieValue: string | undefined
  #found: Found | undefined
  #view: SessionData = new Map()
  #changes: SessionChanges = noChanges
  #accessed = false
  #modified = false

  /** @param cookieValue What the cookie holds; undefined for no cookie. */
  constructor(backing: SessionBacking, cookieValue: string | undefined) {
    this.#backing = backing
    this.#cookieValue = cookieValue
  }

  /** The key under which the session is stored; before the first load what the cookie says, which may be unknown. */
  get key(): string | undefined {
    if (this.#changes.flush) return undefined
    return this.#found === undefined ? this.#cookieValue : this.#found.key
  }

  /** The key of a session that was found when it was loaded; undefined where there was none, and before the load. */
  get foundKey(): string | undefined {
    return this.#found?.resolution === 'hit' ? this.#found.key : undefined
  }

  get accessed(): boolean {
    return this.#accessed
  }

  get modified(): boolean {
    return this.#modified
  }

  /** What the load found; `anonymous` before it and where there was no key. */
  get resolution(): Resolution {
    return this.#found?.resolution ?? 'anonymous'
  }

  /** See `Found.isSuperseded`; false before the load. */
  get isSuperseded(): boolean {
    return this.#found?.isSuperseded ?? false
  }

  /** Django's `is_empty`: no key and no data. */
  get isEmpty(): boolean {
    return this.key === undefined && this.#view.size === 0
  }

  /** The data with the changes made so far, as far as it is loaded; empty before. */
  get loaded(): SessionData {
    return this.#view
  }

  /** Loads, if that can be done without waiting; true if the session is loaded now. */
  loadNow(): boolean {
    const found = this.#found ?? this.#backing.findNow?.(this.#cookieValue)
    if (found === undefined) return false
    this.#accessed = true
    if (this.#found === undefined) this.#settle(found)
    return true
  }

  /** The data with the changes made so far. Loads at the first call; an unknown key is never adopted and disappears. */
  async data(): Promise<SessionData> {
    await this.#load()
    return this.#view
  }

  /** The value, or `fallback` (default undefined) where there is none. */
  async get(name: string, fallback?: unknown): Promise<unknown> {
    const text = (await this.data()).get(name)
    return text === undefined ? fallback : parseJsonValue(text)
  }

  /** Django's `session[name]`. @throws {MissingKeyError} where there is none. */
  async require(name: string): Promise<unknown> {
    const text = (await this.data()).get(name)
    if (text === undefined) throw new MissingKeyError(`the session has no ${JSON.stringify(name)}`)
    return parseJsonValue(text)
  }

  async has(name: string): Promise<boolean> {
    return (await this.data()).has(name)
  }

  async keys(): Promise<string[]> {
    return [...(await this.data()).keys()]
  }

  async values(): Promise<unknown[]> {
    return [...(await this.data()).values()].map(parseJsonValue)
  }

  async items(): Promise<[name: string, value: unknown][]> {
    return [...(await this.data())].map(([name, text]) => [name, parseJsonValue(text)])
  }

  async set(name: string, value: unknown): Promise<void> {
    await this.update({ [name]: value })
  }

  /** Always counts as a change, also with nothing in it, as in Django. */
  async update(values: Readonly<Record<string, unknown>>): Promise<void> {
    const texts = Object.entries(values).map(([name, value]): [string, JsonText] => [name, jsonText(value)])
    await this.#record({ ...noChanges, set: new Map(texts) })
  }

  /** Takes the value out; a missing key gives `fallback` and changes nothing, or throws if none was given. */
  async pop(name: string, ...fallback: [value?: unknown]): Promise<unknown> {
    if (await this.has(name)) {
      const value = await this.get(name)
      await this.#record({ ...noChanges, delete: [name] })
      return value
    }
    if (fallback.length === 0) throw new MissingKeyError(`the session has no ${JSON.stringify(name)}`)
    return fallback[0]
  }

  /** Django's `del session[name]`. @throws {MissingKeyError} where there is none. */
  async delete(name: string): Promise<void> {
    await this.pop(name)
  }

  /** The value; where there is none it is set first. */
  async setDefault(name: string, value: unknown): Promise<unknown> {
    if (await this.has(name)) return await this.get(name)
    await this.set(name, value)
    return value
  }

  /** The data goes; row and cookie stay. */
  async clear(): Promise<void> {
    await this.#record({ ...noChanges, clear: true })
  }

  /** Data, row and cookie go. */
  async flush(): Promise<void> {
    await this.#record({ ...noChanges, flush: true })
  }

  /** A new key for the same data; the old row goes. */
  async cycleKey(): Promise<void> {
    await this.#record({ ...noChanges, cycleKey: true })
  }

  /** Seconds from the last save, `0` = until the browser closes, a date, or null = the configured age. */
  async setExpiry(value: number | Date | null): Promise<void> {
    await this.#record({ ...noChanges, expiry: expirySetting(value) })
  }

  /** Seconds from `now` (default: the clock) until the session ends on the server. */
  async getExpiryAge(now: EpochMs = this.#backing.clock()): Promise<number> {
    return expiryAgeSeconds(await this.data(), this.#backing.expiry, now)
  }

  async getExpiryDate(now: EpochMs = this.#backing.clock()): Promise<Date> {
    return new Date(expiryDate(await this.data(), this.#backing.expiry, now))
  }

  async getExpireAtBrowserClose(): Promise<boolean> {
    return expiresAtBrowserClose(await this.data(), this.#backing.expiry)
  }

  async setTestCookie(): Promise<void> {
    await this.set(TEST_COOKIE.name, TEST_COOKIE.value)
  }

  async testCookieWorked(): Promise<boolean> {
    return (await this.get(TEST_COOKIE.name)) === TEST_COOKIE.value
  }

  async deleteTestCookie(): Promise<void> {
    await this.delete(TEST_COOKIE.name)
  }

  /** Records the changes of a whole answer at once, in the contract's order. */
  async apply(changes: SessionChanges): Promise<void> {
    await this.#record(changes)
  }

  /**
   * Merges the recorded changes into the store in one atomic step. Afterwards `key` and the data are what is stored.
   *
   * @throws {GatewayError} what `options.check` throws, and then nothing is stored; `ERR_STORE_UNAVAILABLE`.
   */
  async save(options: SaveOptions = {}): Promise<SaveResult> {
    const found = await this.#load()
    const result = await this.#backing.save(found, this.#changes, options)
    this.#changes = noChanges
    if (result.kind === 'stored') this.#settle({ ...found, key: result.key, data: result.data })
    if (result.kind === 'deleted' || result.kind === 'gone') this.#settle({ ...found, key: undefined, data: new Map() })
    return result
  }

  async #load(): Promise<Found> {
    this.#accessed = true
    if (this.#found !== undefined) return this.#found
    const found = await this.#backing.find(this.#cookieValue)
    this.#settle(found)
    return found
  }

  #settle(found: Found): void {
    this.#found = found
    this.#view = found.data
  }

  async #record(changes: SessionChanges): Promise<void> {
    const { data } = await this.#load()
    const before = this.#view
    this.#changes = joinChanges(this.#changes, changes)
    this.#view = applyChanges(data, this.#changes, this.#backing.expiry, this.#backing.clock())
    const deletes = changes.delete.some((name) => before.has(name))
    const expires = changes.expiry !== undefined && (changes.expiry.kind !== 'default' || before.has(EXPIRY_KEY))
    const asksOnlyRemoval = changes.delete.length > 0 || changes.expiry?.kind === 'default'
    const isChange = changes.flush || changes.clear || changes.cycleKey || changes.set.size > 0 || deletes || expires
    // `update({})` is a change in Django too, although it changes nothing.
    if (isChange || !asksOnlyRemoval) this.#modified = true
  }
}

function expirySetting(value: number | Date | null): ExpirySetting {
  if (value === null) return { kind: 'default' }
  return value instanceof Date ? { kind: 'date', at: value.getTime() } : { kind: 'seconds', seconds: value }
}

/** `first`, then `second`, as one set of changes in the contract's order: flush or clear, delete, set, expiry, cycle. */
function joinChanges(first: SessionChanges, second: SessionChanges): SessionChanges {
  const base = second.flush || second.clear ? { ...noChanges, flush: first.flush, clear: first.clear } : first
  const set = new Map(base.set)
  for (const name of second.delete) set.delete(name)
  for (const [name, text] of second.set) set.set(name, text)
  const flush = base.flush || second.flush
  const expiry = second.expiry ?? base.expiry
  return {
    flush,
    clear: (base.clear || second.clear) && !flush,
    delete: [...new Set([...base.delete, ...second.delete])],
    set,
    cycleKey: base.cycleKey || second.cycleKey,
    ...(expiry === undefined ? {} : { expiry }),
  }
}
