import type { SessionData } from '../../../src/django/json.ts'
import type { ChangeListener, ChangeNotices } from '../../../src/sessions/change-notices.ts'
import type { FoundSession, LoadResult, SessionEngine, TransitionResult } from '../../../src/sessions/engine.ts'
import { createLocalCache, type LocalCache, type LocalCacheOptions } from '../../../src/sessions/local-cache.ts'
import { createTestScheduler } from './test-scheduler.ts'

export const MAX_AGE_MS = 5000

/** A read of the store that the test lets go on. It has seen what was there when it began. */
export interface HeldRead {
  readonly key: string
  answer(): void
  fail(error: Error): void
}

/** A store and its line of notices, both in the test's hands, under the cache that is tested. */
export class LocalCacheWorld {
  now = Date.UTC(2026, 10, 23, 12)
  readonly scheduler = createTestScheduler()
  /** What the store has. */
  readonly sessions = new Map<string, FoundSession>()
  /** Whether the line stands. */
  isCurrent = true
  /** Done whenever it is asked, before it answers. */
  onAsk = (): void => {}
  /** With it, reads wait in `reads`. */
  holdsReads = false
  readonly reads: HeldRead[] = []
  /** Keys, in the order in which they were read. */
  readonly loads: string[] = []
  readonly lookups: string[] = []
  /** Waited for by every change, in the middle: after the store has changed. */
  duringChange = async (): Promise<void> => {}
  readonly closed: string[] = []
  #listener: ChangeListener | undefined

  readonly notices: ChangeNotices = {
    nameOf: (key) => `name of ${key}`,
    isCurrent: () => {
      this.onAsk()
      return this.isCurrent
    },
    listen: (listener) => {
      this.#listener = listener
    },
    onState: () => {},
    [Symbol.asyncDispose]: async () => void this.closed.push('notices'),
  }

  open(options: Partial<LocalCacheOptions> = {}): LocalCache {
    return createLocalCache(this.bare(), this.notices, {
      maxAgeMs: MAX_AGE_MS,
      maxEntries: 1000,
      clock: () => this.now,
      scheduler: this.scheduler,
      onLookup: (lookup) => void this.lookups.push(lookup),
      ...options,
    })
  }

  /** The line tells of a change of that session. */
  tell(key: string): void {
    this.#listener?.changed(this.notices.nameOf(key))
  }

  tellEverything(): void {
    this.#listener?.everythingChanged()
  }

  /** The line does not stand any more; nobody is told. */
  fall(): void {
    this.isCurrent = false
  }

  /** Somebody else changes the session. Nobody is told yet. */
  store(key: string, text: string, more: Partial<FoundSession> = {}): void {
    this.sessions.set(key, { found: true, data: new Map([['v', text]]), expiresAt: undefined, ...more })
  }

  /** The read that waits longest. */
  nextRead(): HeldRead {
    const read = this.reads.shift()
    if (read === undefined) throw new Error('nothing is being read')
    return read
  }

  /** The engine without memory. */
  bare(): SessionEngine {
    return {
      name: 'db',
      isServerSide: true,
      lists: true,
      admits: () => 'ask',
      load: (key) => this.#load(key),
      create: async () => 'fresh',
      adopt: async ({ key, data, expiresAt }) => {
        await this.#change(() => this.sessions.set(key, { found: true, data, expiresAt }))
        return true
      },
      transition: async (key, decide): Promise<TransitionResult> => {
        const before = this.sessions.get(key)
        if (before === undefined) return { kind: 'gone', reason: 'not_found' }
        const next = decide(before.data)
        if (next.kind !== 'update') throw new Error('not in this store')
        await this.#change(() => this.store(key, next.data.get('v') ?? ''))
        return { kind: 'stored', key, data: next.data }
      },
      delete: async (key) => {
        const isThere = this.sessions.has(key)
        await this.#change(() => this.sessions.delete(key))
        return isThere
      },
      async *entries() {},
      clearExpired: async () => 0,
      countExpired: () => undefined,
      ping: async () => {},
      [Symbol.asyncDispose]: async () => void this.closed.push('engine'),
    }
  }

  async #change(change: () => unknown): Promise<void> {
    change()
    await this.duringChange()
  }

  #load(key: string): Promise<LoadResult> {
    this.loads.push(key)
    const seen: LoadResult = this.sessions.get(key) ?? { found: false, reason: 'not_found' }
    if (!this.holdsReads) return Promise.resolve(seen)
    return new Promise((resolve, reject) => {
      this.reads.push({ key, answer: () => resolve(seen), fail: reject })
    })
  }
}

/** The text of a session that was found; undefined for one that was not. */
export function textOf(loaded: LoadResult | undefined): string | undefined {
  return loaded?.found === true ? loaded.data.get('v') : undefined
}

/** A decision to store that text. */
export function become(text: string): (now: SessionData) => { kind: 'update'; data: SessionData } {
  return () => ({ kind: 'update', data: new Map([['v', text]]) })
}
