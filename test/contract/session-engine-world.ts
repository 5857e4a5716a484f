import assert from 'node:assert/strict'
import type { ExpiryRules } from '../../src/django/expiry.ts'
import { parseSessionData, type SessionData, writeSessionData } from '../../src/django/json.ts'
import { createSessionCodec, type SessionCodec } from '../../src/django/session-data.ts'
import { createSessionKey } from '../../src/django/session-key.ts'
import type { Clock, EpochMs } from '../../src/lib/clock.ts'
import type { LoadResult, SessionEngine, Transition } from '../../src/sessions/engine.ts'

/** What every store under test is opened with. */
export class EngineWorld {
  now: EpochMs = Date.UTC(2026, 10, 23, 12)
  /** Keys that `newKey` gives before it goes on with random ones. */
  readonly nextKeys: string[] = []
  readonly expiryRules: ExpiryRules = { cookieAgeSeconds: 1000, expireAtBrowserClose: false, dates: 'iso', useTz: true }
  readonly secretKey = 'test-secret-key-0123456789'
  readonly codec: SessionCodec = createSessionCodec({ secretKey: this.secretKey })
  readonly clock: Clock = () => this.now
  readonly newKey = (): string => this.nextKeys.shift() ?? createSessionKey()

  /** What a store with a clock of its own does to keep up: its values get older by so many seconds. */
  readonly onAdvance: ((seconds: number) => Promise<void>)[] = []

  async advance(seconds: number): Promise<void> {
    this.now += seconds * 1000
    if (seconds === 0) return
    for (const catchUp of this.onAdvance) await catchUp(seconds)
  }
}

/** One store, to which any number of engines may be connected, each as another process would be. */
export interface StoreUnderTest extends AsyncDisposable {
  connect(): Promise<SessionEngine>
  /** What lies under a key, byte for byte; undefined if nothing does, or where nothing is kept. */
  peek(key: string): Promise<string | undefined>
  /** Puts a text under a key past the engine, good for an hour. */
  plant(key: string, text: string): Promise<void>
}

/** What an engine can promise. */
export interface EngineTraits {
  /** Sessions are kept on a server, so they can be listed, revoked, and raced for. */
  readonly isServerSide: boolean
  /** Stored text is signed, so a bad signature can be told from nonsense. */
  readonly isSigned: boolean
  /** A session whose time is over is told from one that never was. */
  readonly tellsExpired: boolean
  /** False: the store cannot say what it holds (memcached). Default true. */
  readonly lists?: boolean
  /** False: the store drops what is over by itself, and nothing is left to clear. Default true. */
  readonly sweeps?: boolean
  /** False: nothing waits to be cleared that anybody would have to know of, as in a cache. Default true. */
  readonly countsExpired?: boolean
  /** By how much a session's end may differ from the world's clock, where a server counts by its own. Default 0. */
  readonly toleranceMs?: number
  /** False: the store does not tell when a session ends (memcached). Default true. */
  readonly tellsEnd?: boolean
}

export type OpenStore = (world: EngineWorld) => Promise<StoreUnderTest>

export interface Fixture extends AsyncDisposable {
  readonly traits: EngineTraits
  readonly world: EngineWorld
  readonly store: StoreUnderTest
  readonly engine: SessionEngine
  /** The same store, seen from another process. */
  readonly other: SessionEngine
}

/** A fresh store, and two processes on it. */
export type Prepare = () => Promise<Fixture>

/** The session whose JSON this is. */
export function sessionOf(json: string): SessionData {
  const data = parseSessionData(json)
  assert.ok(data, json)
  return data
}

/** Adds one to the number under `n`. */
export function increment(now: SessionData): Transition {
  return { kind: 'update', data: new Map(now).set('n', `${Number(now.get('n') ?? 0) + 1}`) }
}

/** The keys that are listed, in alphabetical order. */
export async function listKeys(engine: SessionEngine): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of engine.entries()) keys.push(key)
  return keys.toSorted()
}

/** These sessions are alive and no others, as far as the store can list them. */
export async function assertListed({ engine, traits }: Fixture, keys: readonly string[]): Promise<void> {
  if (traits.lists !== false) assert.deepEqual(await listKeys(engine), keys.toSorted())
  else for (const key of keys) assert.ok((await engine.load(key)).found, 'a session that should be alive')
}

/** The session ends at that moment, as far as the store tells and by its own clock. */
export function assertEnd(traits: EngineTraits, actual: EpochMs | undefined, expected: EpochMs): void {
  if (traits.tellsEnd === false && actual === undefined) return
  assert.ok(actual !== undefined)
  assert.ok(Math.abs(actual - expected) <= (traits.toleranceMs ?? 0), `ends at ${actual} instead of ${expected}`)
}

/** What waits to be cleared, as the engine adds it up; undefined where the store forgets by itself. */
export async function countExpired(engine: SessionEngine, limit = 1_000_000): Promise<number | undefined> {
  const parts = engine.countExpired(limit)
  if (parts === undefined) return undefined
  let count = 0
  for await (const part of parts) count += part
  return count
}

/** A decision that must not be asked for. */
export function unexpected(): Transition {
  throw new Error('nothing was there to decide about')
}

/** The session was found with exactly these data, to the byte. */
export function assertData(loaded: LoadResult, data: SessionData): void {
  assert.ok(loaded.found, JSON.stringify(loaded))
  assert.equal(writeSessionData(loaded.data), writeSessionData(data))
}

/** Fifty of them. */
export function fifty<T>(make: (index: number) => T): T[] {
  return Array.from({ length: 50 }, (_, index) => make(index))
}
