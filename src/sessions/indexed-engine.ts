import { LRUCache } from 'lru-cache'
import { saturateMs } from '../django/dates.ts'
import { type ExpiryRules, expiryDate } from '../django/expiry.ts'
import type { SessionData } from '../django/json.ts'
import type { Clock, EpochMs } from '../lib/clock.ts'
import { forEachParallel } from '../lib/parallel.ts'
import type { KeyVerdict, LoadResult, SessionEngine, SessionEntry, Transition, TransitionResult } from './engine.ts'
import { type Scheduler, systemScheduler } from './scheduler.ts'
import { storeUnavailable } from './store-failure.ts'
import { storableUserId, type UserIdOf, type UserIndex } from './user-index.ts'

export interface IndexedEngineOptions {
  /** `session.user_id` (`compileUserId`). */
  readonly userIdOf: UserIdOf
  readonly expiryRules: ExpiryRules
  readonly clock: Clock
  /** Default: the system's. */
  readonly scheduler?: Scheduler
  /** Of how many sessions this process remembers that they are noted, and until when. Default 100,000: 4 MB. */
  readonly maxNotes?: number
  /** Told once per change; the index counts as up until it first fails. `cause` is what failed, when it is down. */
  readonly onIndexState?: (isUp: boolean, cause: unknown) => void
}

/** An engine that can tell a user's sessions from all others without looking at these. */
export interface IndexedEngine extends SessionEngine {
  /**
   * The living sessions of one user, in no particular order, each once: all that had been stored through a gateway when the
   * listing began, and of those that Django stored all that a gateway has met. An id as a person types it.
   */
  sessionsOfUser(userId: string): AsyncIterable<SessionEntry>
  /**
   * Goes through all sessions and notes their users; for when the index is new. Told how many it has looked at. Resolves with
   * how many have a user.
   */
  noteAll(onProgress?: (seen: number) => void): Promise<number>
}

/** After so long a session is noted once more: an index in a cache may have lost something. */
const NOTE_AGAIN_MS = 3_600_000

/** After a note that failed while a session was only read, other reads do not pay for the same for so long. */
const PAUSE_MS = 1000

/** How often a change waits for a note; one is enough, unless others change the session's user all the time. */
const MAX_NOTES = 20

/** So many sessions at once, for an index across a network. */
const NOTES_AT_ONCE = 16

/** Whose sessions are looked for to see whether there is an index. */
const NOBODY = 'sessiongate'

/** Of the index, for each call to `clearExpired`. */
const MAX_BATCHES = 100

type Decide = (now: SessionData) => Transition

/**
 * The same engine with an index of users beside it, which is a superset of the truth at every moment:
 *
 * - A change is stored only when the session is noted under the user that it will have, for as long as it will live.
 *   `decide` is stopped before anything is stored, the note made, and the change computed anew.
 * - A new session, or one with a new key, is noted before anybody learns its key. If that fails, it is ended again. Whoever
 *   had the old key would be logged out, so a key is only cycled when the index has just answered.
 * - What is noted is dropped only when the session is gone for good, since keys do not come back. A session that is another
 *   user's now stays noted under the first until its time is over: somebody may be about to change it back.
 * - A session that Django stored is noted when it is first loaded here. If that fails, the load does not; the next one tries.
 *
 * Notes last one `cookie_age` longer than the session, so a session in use is noted once in that time and not at each
 * change; what this process has noted it remembers. The price is one note for each new session and for
 * each that a process meets for the first time, again after an hour, and the note's deletion at log-out.
 */
export function createIndexedEngine(
  engine: SessionEngine,
  index: UserIndex,
  options: IndexedEngineOptions,
): IndexedEngine {
  if (!engine.isServerSide) throw new TypeError('sessions in cookies cannot be found by user')
  return new IndexedSessions(engine, index, options)
}

interface Note {
  readonly userId: string
  readonly until: EpochMs
}

/** Thrown by a decision that has to wait. Never leaves this file. */
class NotNotedYet extends Error {}

class IndexedSessions implements IndexedEngine {
  readonly #engine: SessionEngine
  readonly #index: UserIndex
  readonly #options: IndexedEngineOptions
  readonly #scheduler: Scheduler
  readonly #noted: LRUCache<string, Note>
  #pausedUntilMs = Number.NEGATIVE_INFINITY
  #isIndexUp = true
  #isIndexKnown = false

  constructor(engine: SessionEngine, index: UserIndex, options: IndexedEngineOptions) {
    const { scheduler = systemScheduler, maxNotes = 100_000 } = options
    this.#engine = engine
    this.#index = index
    this.#options = options
    this.#scheduler = scheduler
    this.#noted = new LRUCache({
      max: maxNotes,
      ttl: NOTE_AGAIN_MS,
      ttlResolution: 0,
      perf: { now: () => scheduler.nowMs() },
    })
  }

  get name(): string {
    return this.#engine.name
  }

  get isServerSide(): boolean {
    return this.#engine.isServerSide
  }

  get lists(): boolean {
    return this.#engine.lists
  }

  admits(cookieValue: string): KeyVerdict {
    return this.#engine.admits(cookieValue)
  }

  async load(key: string): Promise<LoadResult> {
    const loaded = await this.#engine.load(key)
    if (loaded.found && this.#scheduler.nowMs() >= this.#pausedUntilMs) {
      try {
        if (this.#missingNote(key, loaded) !== undefined) await this.#note(key, loaded)
      } catch {
        this.#pausedUntilMs = this.#scheduler.nowMs() + PAUSE_MS
      }
    }
    return loaded
  }

  async create(data: SessionData): Promise<string> {
    const key = await this.#engine.create(data)
    await this.#noteNew(key, data)
    return key
  }

  /** The session exists elsewhere under this key, and other processes may change it: it is not ended if noting fails. */
  async adopt(entry: SessionEntry): Promise<boolean> {
    const isAdopted = await this.#engine.adopt(entry)
    if (isAdopted) await this.#note(entry.key, entry)
    return isAdopted
  }

  async transition(key: string, decide: Decide): Promise<TransitionResult> {
    let isIndexThere = false
    for (let notes = 0; notes < MAX_NOTES; notes++) {
      let missing: NotedSession | undefined
      let isWaiting = false
      let before: string | undefined
      const decideWhenNoted: Decide = (now) => {
        before = this.#options.userIdOf(now)
        const next = decide(now)
        missing = next.kind === 'update' && this.#missingNote(key, next) ? next : undefined
        const isToCycle = next.kind === 'cycle' && this.#options.userIdOf(next.data) !== undefined
        isWaiting = missing !== undefined || (isToCycle && !isIndexThere)
        if (isWaiting) throw new NotNotedYet()
        return next
      }
      try {
        const result = await this.#engine.transition(key, decideWhenNoted)
        await this.#settle(key, result, before)
        return result
      } catch (error) {
        if (!isWaiting || !(error instanceof NotNotedYet)) throw error
        if (missing === undefined) await this.#askIndex()
        else await this.#note(key, missing)
        isIndexThere = true
      }
    }
    throw storeUnavailable('the user of a session changes all the time')
  }

  async delete(key: string): Promise<boolean> {
    return (await this.transition(key, () => ({ kind: 'delete' }))).kind === 'deleted'
  }

  entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    return this.#engine.entries(onUnreadable)
  }

  /** Sessions first; when none is left, what is over in the index. Only sessions are counted. */
  async clearExpired(limit: number): Promise<number> {
    const cleared = await this.#engine.clearExpired(limit)
    for (let batch = 0; cleared < limit && batch < MAX_BATCHES; batch++) {
      if ((await this.#index.clearExpired(limit)) < limit) break
    }
    return cleared
  }

  countExpired(limit: number): AsyncIterable<number> | undefined {
    return this.#engine.countExpired(limit)
  }

  /**
   * Asks for the index as well until it has answered once: one that was never made shows at the start, and not at the first
   * log-in. After that the sessions decide alone, since those that are there can be read without it.
   */
  async ping(): Promise<void> {
    await Promise.all([this.#engine.ping(), this.#findIndex()])
  }

  async *sessionsOfUser(typedUserId: string): AsyncIterable<SessionEntry> {
    const userId = storableUserId(typedUserId)
    const seen = new Set<string>()
    for await (const key of this.#index.keysOf(userId)) {
      if (seen.has(key)) continue
      seen.add(key)
      const loaded = await this.#engine.load(key)
      if (!loaded.found) {
        const isGone = loaded.reason === 'not_found' || loaded.reason === 'expired'
        if (isGone) await this.#forget(userId, key)
      } else if (this.#options.userIdOf(loaded.data) === userId) {
        yield { key, data: loaded.data, expiresAt: loaded.expiresAt }
      }
    }
  }

  async noteAll(onProgress?: (seen: number) => void): Promise<number> {
    let [seen, noted] = [0, 0]
    await forEachParallel(this.#engine.entries(), NOTES_AT_ONCE, async (entry) => {
      if (this.#options.userIdOf(entry.data) !== undefined) {
        await this.#note(entry.key, entry)
        noted += 1
      }
      seen += 1
      onProgress?.(seen)
    })
    return noted
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _engine = this.#engine
    await this.#index[Symbol.asyncDispose]()
  }

  async #settle(key: string, result: TransitionResult, before: string | undefined): Promise<void> {
    if (result.kind === 'stored' && result.key !== key) await this.#noteNew(result.key, result.data)
    const isGone = result.kind === 'deleted' || (result.kind === 'stored' && result.key !== key)
    if (isGone && before !== undefined) await this.#forget(before, key)
  }

  /** A key that nobody else knows yet; if its session could not be found by its user, it shall not be. */
  async #noteNew(key: string, data: SessionData): Promise<void> {
    try {
      await this.#note(key, { data })
    } catch (error) {
      await this.#engine.delete(key).catch(ignore)
      throw error
    }
  }

  async #note(key: string, session: NotedSession): Promise<void> {
    const note = this.#missingNote(key, session)
    if (note === undefined) return
    try {
      await this.#index.note(note.userId, key, note.until)
    } catch (error) {
      this.#tell(false, error)
      throw error
    }
    this.#tell(true, undefined)
    this.#noted.set(key, note)
  }

  #tell(isUp: boolean, cause: unknown): void {
    if (isUp === this.#isIndexUp) return
    this.#isIndexUp = isUp
    this.#options.onIndexState?.(isUp, cause)
  }

  async #findIndex(): Promise<void> {
    if (this.#isIndexKnown) return
    await this.#lookIntoIndex()
    this.#isIndexKnown = true
  }

  async #askIndex(): Promise<void> {
    try {
      await this.#lookIntoIndex()
    } catch (error) {
      this.#tell(false, error)
      throw error
    }
  }

  async #lookIntoIndex(): Promise<void> {
    const keys = this.#index.keysOf(NOBODY)[Symbol.asyncIterator]()
    await keys.next()
    await keys.return?.()
  }

  /** What has to be noted of a session, as it is or will be; undefined if it is nobody's, or noted well enough. */
  #missingNote(key: string, { data, expiresAt }: NotedSession): Note | undefined {
    const userId = this.#options.userIdOf(data)
    if (userId === undefined) return undefined
    const { expiryRules, clock } = this.#options
    const endsAt = expiresAt ?? expiryDate(data, expiryRules, clock())
    const noted = this.#noted.get(key)
    if (noted?.userId === userId && noted.until >= endsAt) return undefined
    return { userId, until: saturateMs(endsAt + expiryRules.cookieAgeSeconds * 1000) }
  }

  /** What stays noted is only a key that leads nowhere. */
  async #forget(userId: string, key: string): Promise<void> {
    this.#noted.delete(key)
    await this.#index.forget(userId, key).catch(ignore)
  }
}

interface NotedSession {
  readonly data: SessionData
  readonly expiresAt?: EpochMs | undefined
}

function ignore(): void {}
