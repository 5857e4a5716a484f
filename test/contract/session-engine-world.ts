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

  advance(seconds: number): void {
    this.now += seconds * 1000
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
}

export type OpenStore = (world: EngineWorld) => Promise<StoreUnderTest>

export interface Fixture extends AsyncDisposable {
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
