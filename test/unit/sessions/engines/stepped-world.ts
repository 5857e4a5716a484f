import assert from 'node:assert/strict'
import { type SessionData, writeSessionData } from '../../../../src/django/json.ts'
import { jsonSerializer } from '../../../../src/sessions/caches/json-serializer.ts'
import type { CacheReplacement, SessionCache } from '../../../../src/sessions/caches/session-cache.ts'
import type { SessionEngine, Transition, TransitionResult } from '../../../../src/sessions/engine.ts'
import { type CachedDbSessionsOptions, createCachedDbSessions } from '../../../../src/sessions/engines/cached-db.ts'
import { keyVerdict } from '../../../../src/sessions/key-verdict.ts'
import { sessionOf } from '../../../contract/session-engine-world.ts'

/** Lets one step of a store happen, whenever that is: at once, or when the test says so. */
export type Step = <T>(name: string, effect: () => T) => Promise<T>

/** The one session that all are at. */
export const KEY = 'thesession'

const END_OF_SESSION_MS = 10_000_000
const NOW_MS = 1_000_000
const PREFIX = 'p:'

interface CachedBytes {
  readonly bytes: Uint8Array
  readonly version: number
}

/** What a client got to see, and what it had to see at least. */
interface Reading {
  readonly who: string
  readonly seen: number | undefined
  readonly atLeast: number
}

export interface ConnectOptions extends Partial<CachedDbSessionsOptions> {
  readonly db?: SessionEngine
  readonly cache?: SessionCache
}

/** How the cache compares: by a version (memcached), or by the bytes themselves (Redis), which may come back. */
export type Stamps = 'version' | 'bytes'

/**
 * One session in a database and in a cache, of which every single step can be held up. The session is a number that each
 * change raises by one; a deletion is infinitely many. So "nobody gets what was before an answered change" reads: nobody who
 * begins after an answer sees less than it made.
 */
export class SteppedWorld {
  now = NOW_MS
  row: SessionData | undefined = sessionOf('{"n":0}')
  readonly readings: Reading[] = []
  /** What the latest answered change made. */
  answered = 0
  readonly #cached = new Map<string, CachedBytes>()
  readonly #step: Step
  readonly #stamps: Stamps
  #lastVersion = 0

  constructor(step: Step, stamps: Stamps) {
    this.#step = step
    this.#stamps = stamps
  }

  /** A gateway's process on the two stores. */
  connect(options: ConnectOptions = {}): SessionEngine {
    const { db = this.db, cache = this.cache, ...rest } = options
    const clock = () => this.now
    return createCachedDbSessions(db, cache, { serializer: jsonSerializer, keyPrefix: PREFIX, clock, ...rest })
  }

  /** What Django would read from the cache now; undefined for a miss. */
  get djangoReads(): SessionData | undefined {
    const value = this.#cached.get(PREFIX + KEY)
    return value && jsonSerializer.decode(value.bytes)
  }

  /** True if Django would find a session in the cache. */
  get hasSession(): boolean {
    return this.djangoReads !== undefined
  }

  readonly cache: SessionCache = {
    lists: false,
    get: (key) =>
      this.#step('cache.get', () => {
        const value = this.#cached.get(key)
        return value && { bytes: value.bytes, expiresAt: undefined, stamp: this.#stampOf(value) }
      }),
    add: (key, bytes) => this.#step('cache.add', () => !this.#cached.has(key) && this.#put(key, bytes)),
    put: (key, bytes) =>
      this.#step('cache.put', () => {
        this.#put(key, bytes)
      }),
    replace: (key, replacement) => this.#step('cache.replace', () => this.#replace(key, replacement)),
    remove: (key, stamp) => this.#step('cache.remove', () => this.#holds(key, stamp) && this.#cached.delete(key)),
    async *keys() {},
    clearExpired: async () => 0,
    ping: async () => {},
    async [Symbol.asyncDispose]() {},
  }

  /** Somebody comes, whenever that is. */
  arrival(): Promise<void> {
    return this.#step('arrival', () => undefined)
  }

  /** A gateway answers a request that reads. */
  async load(who: string, engine: SessionEngine): Promise<void> {
    const atLeast = this.answered
    const loaded = await engine.load(KEY)
    this.readings.push({ who, seen: loaded.found ? Number(loaded.data.get('n')) : undefined, atLeast })
  }

  /** A gateway answers a request that changes; undefined if the session was gone. */
  async change(engine: SessionEngine): Promise<void> {
    const result = await engine.transition(KEY, (data) => ({ kind: 'update', data: raised(data) }))
    if (result.kind === 'stored') this.#answer(Number(result.data.get('n')))
    else assert.equal(result.kind, 'gone')
  }

  async delete(engine: SessionEngine): Promise<void> {
    await engine.delete(KEY)
    this.#answer(Number.POSITIVE_INFINITY)
  }

  /** Django's cached_db, as its source has it: blind writes to the cache, each after the database. */
  async djangoLoad(): Promise<void> {
    const value = await this.#djangoGet()
    if (value !== undefined) return
    const row = await this.#step('django row.find', () => this.row)
    if (row !== undefined) await this.#djangoSet(row)
  }

  /** One who missed and has read the row as it is now, and has only to fill the cache. */
  async djangoFill(): Promise<void> {
    if (this.row !== undefined) await this.#djangoSet(this.row)
  }

  async djangoChange(): Promise<void> {
    const data = (await this.#djangoGet()) ?? (await this.#step('django row.find', () => this.row))
    if (data === undefined) return
    const changed = raised(data)
    const isStored = await this.#step('django row.update', () => this.row !== undefined && this.#store(changed))
    if (!isStored) return
    await this.#djangoSet(changed)
    this.#answer(Number(changed.get('n')))
  }

  async djangoDelete(): Promise<void> {
    await this.#step('django row.delete', () => {
      this.row = undefined
    })
    await this.#step('django cache.delete', () => this.#cached.delete(PREFIX + KEY))
    this.#answer(Number.POSITIVE_INFINITY)
  }

  /** Puts a value there as Django would, without a step. */
  plant(data: SessionData): void {
    this.#put(PREFIX + KEY, jsonSerializer.encode(data))
  }

  /** Fails if anybody saw what was before an answer that he came after. */
  assertNothingStale(): void {
    for (const { who, seen, atLeast } of this.readings) {
      assert.ok((seen ?? Number.POSITIVE_INFINITY) >= atLeast, `${who} saw ${seen} after ${atLeast} was answered`)
    }
  }

  /** Fails if the cache has a session for Django that is not the database's. */
  assertCacheIsTrue(): void {
    const { djangoReads, row } = this
    if (djangoReads === undefined) return
    assert.equal(writeSessionData(djangoReads), row && writeSessionData(row))
  }

  #answer(made: number): void {
    this.answered = Math.max(this.answered, made)
  }

  #djangoGet(): Promise<SessionData | undefined> {
    return this.#step('django cache.get', () => this.djangoReads)
  }

  #djangoSet(data: SessionData): Promise<boolean> {
    return this.#step('django cache.set', () => this.#put(PREFIX + KEY, jsonSerializer.encode(data)))
  }

  #store(data: SessionData): boolean {
    this.row = data
    return true
  }

  #put(key: string, bytes: Uint8Array): boolean {
    this.#cached.set(key, { bytes: new Uint8Array(bytes), version: ++this.#lastVersion })
    return true
  }

  #stampOf(value: CachedBytes): unknown {
    return this.#stamps === 'version' ? value.version : Buffer.from(value.bytes).toString('hex')
  }

  #holds(key: string, stamp: unknown): boolean {
    const value = this.#cached.get(key)
    return value !== undefined && this.#stampOf(value) === stamp
  }

  #replace(key: string, { stamp, bytes }: CacheReplacement): boolean {
    return this.#holds(key, stamp) && this.#put(key, bytes)
  }

  get db(): SessionEngine {
    const transition = (_key: string, decide: (now: SessionData) => Transition) =>
      this.#step('row.change', () => this.#change(decide))
    return {
      name: 'db',
      isServerSide: true,
      lists: true,
      admits: keyVerdict,
      load: () =>
        this.#step('row.find', () =>
          this.row
            ? { found: true, data: this.row, expiresAt: END_OF_SESSION_MS }
            : { found: false, reason: 'not_found' },
        ),
      create: () => assert.fail('nothing is created here'),
      adopt: () => assert.fail('nothing is adopted here'),
      transition,
      delete: async () => (await transition(KEY, () => ({ kind: 'delete' }))).kind === 'deleted',
      async *entries() {},
      clearExpired: async () => 0,
      countExpired: () => undefined,
      ping: async () => {},
      async [Symbol.asyncDispose]() {},
    }
  }

  #change(decide: (now: SessionData) => Transition): TransitionResult {
    if (this.row === undefined) return { kind: 'gone', reason: 'not_found' }
    const next = decide(this.row)
    if (next.kind === 'keep') return { kind: 'kept', data: this.row }
    this.row = next.kind === 'delete' ? undefined : next.data
    return next.kind === 'delete' ? { kind: 'deleted' } : { kind: 'stored', key: KEY, data: next.data }
  }
}

function raised(data: SessionData): SessionData {
  return new Map(data).set('n', `${Number(data.get('n')) + 1}`)
}
