import type { Dir } from 'node:fs'
import { type ExpiryRules, expiryDate, savedAtFor } from '../../django/expiry.ts'
import type { SessionData } from '../../django/json.ts'
import type { SessionCodec } from '../../django/session-data.ts'
import { isFileKey } from '../../django/session-key.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import {
  type AbsenceReason,
  type LoadResult,
  NotAdoptableError,
  type SessionEngine,
  type SessionEntry,
  type Transition,
  type TransitionResult,
} from '../engine.ts'
import { createFolderLocks, type FolderLocks } from '../files/folder-locks.ts'
import {
  type FileCalls,
  type MissingFile,
  type SessionFile,
  SessionFolder,
  type Standing,
} from '../files/session-folder.ts'
import { claimFreshKey } from '../fresh-key.ts'
import { createKeyQueue } from '../key-queue.ts'
import { fileKeyVerdict } from '../key-verdict.ts'
import { isErrno, storeUnavailable } from '../store-failure.ts'
import { readStoredText } from '../stored-text.ts'

export interface FileSessionsOptions {
  /** Django's SESSION_FILE_PATH, or the system's temporary directory. It must exist. */
  readonly directory: string
  /** Django's SESSION_COOKIE_NAME: what every file name begins with. */
  readonly prefix: string
  /** How long a change waits for another process that changes the same session, in milliseconds. */
  readonly lockTimeoutMs: number
  readonly codec: SessionCodec
  readonly expiryRules: ExpiryRules
  readonly clock: Clock
  /** A fresh random key (`django/session-key.ts`). */
  readonly newKey: () => string
  /** Default: `node:fs/promises`. */
  readonly files?: FileCalls
}

/** A sweep looks at so many files at the same time: it keeps the thread pool busy, and leaves room in its queue. */
const SWEPT_AT_ONCE = 8

/** How often a change is computed anew because Django, which takes no lock, wrote the file meanwhile. */
const MAX_RETRIES = 20

/**
 * Django's `file` engine: its names, its bytes, its modes, in a folder that both may use at once. Stricter than Django:
 *
 * - A save is acknowledged after the file, its name and the folder are durable. Django syncs nothing and swallows errors.
 * - A change is computed and stored under a lock of the key, so that none is lost and nothing deleted comes back.
 *   Django takes no lock; what it deletes or writes while a change is computed is noticed until some microseconds
 *   before the rename.
 * - An integer `_session_expiry` counts from the file's modification time. Django's own server side never ends such a
 *   session; here it ends when its cookie does.
 * - An expired file is left to `clearExpired` and never replaced by a new empty session. What is not readable as a
 *   session of ours (no regular file, a link, a bad signature) is neither followed, nor changed, nor removed.
 *
 * A folder that is not there shows in every call and in `ping`, not here: it may be mounted later.
 */
export function createFileSessions(options: FileSessionsOptions): SessionEngine {
  const folder = new SessionFolder(options, () => options.newKey().slice(-8))
  const locks = createFolderLocks({ directory: options.directory, timeoutMs: options.lockTimeoutMs })
  return new FileSessions(folder, locks, options)
}

type Decide = (now: SessionData) => Transition
type Update = Extract<Transition, { kind: 'update' }>

class FileSessions implements SessionEngine {
  readonly name = 'file'
  readonly isServerSide = true
  readonly lists = true
  readonly admits = fileKeyVerdict
  readonly #folder: SessionFolder
  readonly #locks: FolderLocks
  readonly #options: FileSessionsOptions
  /** Where the last `clearExpired` stopped: starting over with each batch would read a large folder thousands of times. */
  #sweep: Dir | undefined
  readonly #sweeps = createKeyQueue<'sweep'>()

  constructor(folder: SessionFolder, locks: FolderLocks, options: FileSessionsOptions) {
    this.#folder = folder
    this.#locks = locks
    this.#options = options
  }

  async load(key: string): Promise<LoadResult> {
    if (!isFileKey(key)) return { found: false, reason: 'not_found' }
    return await guard(() => this.#load(key))
  }

  async create(data: SessionData): Promise<string> {
    return await guard(() => claimFreshKey(() => this.#add(data)))
  }

  /**
   * The file's modification time becomes the one from which Django's arithmetic and ours count to the session's own end.
   * A session with a fixed date ends at that date.
   */
  async adopt({ key, data, expiresAt }: SessionEntry): Promise<boolean> {
    if (!isFileKey(key)) throw new NotAdoptableError('a file name holds keys of a-z0-9 only')
    const { text, at } = this.#newContent(data, expiresAt)
    // Under the lock, so that no sweep takes the name away between its claim and the rename.
    return await guard(() => this.#locks.hold(key, () => this.#folder.add(key, text, at)))
  }

  async transition(key: string, decide: Decide): Promise<TransitionResult> {
    if (!isFileKey(key)) return { kind: 'gone', reason: 'not_found' }
    return await guard(() =>
      this.#locks.hold(key, async () => {
        for (let attempt = 0; attempt < MAX_RETRIES; attempt++) {
          const result = await this.#step(key, decide)
          if (result !== undefined) return result
        }
        throw storeUnavailable('a session file is rewritten all the time by another program')
      }),
    )
  }

  async delete(key: string): Promise<boolean> {
    return (await this.transition(key, () => ({ kind: 'delete' }))).kind === 'deleted'
  }

  async *entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    const listing = await guard(() => this.#folder.list())
    try {
      for (let entry = await guard(() => listing.read()); entry !== null; entry = await guard(() => listing.read())) {
        const name = this.#folder.parseName(entry.name)
        if (name?.kind !== 'session') continue
        const { key } = name
        const loaded = await guard(() => this.#load(key))
        if (loaded.found) yield { key, data: loaded.data, expiresAt: loaded.expiresAt }
        else if (isUnreadable(loaded.reason)) onUnreadable?.(key)
      }
    } finally {
      await listing.close()
    }
  }

  /** Also removes temporary and empty files that were left over for an hour; they do not count. */
  async clearExpired(limit: number): Promise<number> {
    return await guard(() => this.#sweeps('sweep', () => this.#clearBatch(limit)))
  }

  /** Looks at each file, as clearing does; a listing of its own, so that no sweep loses its place. */
  async *countExpired(limit: number): AsyncIterable<number> {
    const listing = await guard(() => this.#folder.list())
    try {
      for (let left = limit; left > 0; ) {
        const names = await guard(() => readNames(listing, Math.min(SWEPT_AT_ONCE, left)))
        if (names.length === 0) return
        const part = (await guard(() => Promise.all(names.map((name) => this.#isExpired(name))))).filter(Boolean).length
        left -= part
        yield part
      }
    } finally {
      await listing.close()
    }
  }

  async ping(): Promise<void> {
    try {
      await this.#folder.check()
    } catch (error) {
      if (!isErrno(error)) throw error
      const { directory } = this.#options
      const way = 'make it, readable and writable for the user that runs this, or set session.file_path'
      throw storeUnavailable(`the session folder ${directory} cannot be used: ${way}`, withoutPath(error))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endSweep()
    await this.#locks[Symbol.asyncDispose]()
  }

  async #clearBatch(limit: number): Promise<number> {
    let count = 0
    // A listing that was continued has not seen what expired before its place meanwhile: then one more, from the start.
    for (let isWhole = false; !isWhole; ) {
      isWhole = this.#sweep === undefined
      this.#sweep ??= await this.#folder.list()
      for (;;) {
        const names = await readNames(this.#sweep, Math.min(SWEPT_AT_ONCE, limit - count))
        const cleared = await Promise.all(names.map((name) => this.#clear(name)))
        count += cleared.filter(Boolean).length
        if (count >= limit) return count
        if (names.length === 0) break
      }
      await this.#endSweep()
    }
    return count
  }

  async #load(key: string): Promise<LoadResult> {
    const file = await this.#folder.open(key)
    if (typeof file === 'string') return { found: false, reason: file }
    await using _held = file
    return this.#read(file)
  }

  #read(file: SessionFile | MissingFile): LoadResult {
    if (typeof file === 'string') return { found: false, reason: file }
    const stored = readStoredText(file.text, this.#options.codec)
    if (!stored.found) return stored
    const expiresAt = expiryDate(stored.data, this.#options.expiryRules, file.modifiedAt)
    if (expiresAt <= this.#options.clock()) return { found: false, reason: 'expired' }
    return { found: true, data: stored.data, expiresAt }
  }

  /** One try of a transition; undefined if the file was written by somebody else meanwhile. */
  async #step(key: string, decide: Decide): Promise<TransitionResult | undefined> {
    const file = await this.#folder.open(key)
    if (typeof file === 'string') return { kind: 'gone', reason: file }
    await using _held = file
    const current = this.#read(file)
    if (!current.found) return { kind: 'gone', reason: current.reason }
    const next = decide(current.data)
    switch (next.kind) {
      case 'keep':
        return { kind: 'kept', data: current.data }
      case 'update':
        return await this.#update(key, file, next)
      case 'cycle':
        return await this.#cycle(key, file, next.data)
      case 'delete':
        return (await this.#folder.remove(key)) ? { kind: 'deleted' } : gone
    }
  }

  async #update(key: string, file: SessionFile, { data, expiresAt }: Update): Promise<TransitionResult | undefined> {
    const standing = await this.#folder.replace(key, file, this.#newContent(data, expiresAt))
    if (standing === 'gone') return gone
    return standing === 'same' ? { kind: 'stored', key, data } : undefined
  }

  /**
   * The new file first, then the old one goes: a crash in between leaves a file under a key that nobody was told.
   * Removing the old name decides who was first, whoever else removes it.
   */
  async #cycle(key: string, file: SessionFile, data: SessionData): Promise<TransitionResult | undefined> {
    const fresh = await claimFreshKey(() => this.#add(data))
    let outcome: Standing
    try {
      outcome = await this.#folder.standing(key, file)
      if (outcome === 'same' && !(await this.#folder.remove(key))) outcome = 'gone'
    } catch (error) {
      // Best effort: a copy that stayed would be a session which nobody has the key of.
      await this.#folder.remove(fresh).catch(() => {})
      throw error
    }
    if (outcome === 'same') return { kind: 'stored', key: fresh, data }
    await this.#folder.remove(fresh)
    return outcome === 'gone' ? gone : undefined
  }

  async #add(data: SessionData): Promise<string | undefined> {
    const key = this.#options.newKey()
    const { text, at } = this.#newContent(data)
    return (await this.#folder.add(key, text, at)) ? key : undefined
  }

  /** The text of a session, and the modification time from which its age counts. */
  #newContent(data: SessionData, expiresAt?: EpochMs): { readonly text: string; readonly at: EpochMs } {
    const { clock, codec, expiryRules } = this.#options
    const now = clock()
    const at = expiresAt === undefined ? now : savedAtFor(data, expiryRules, { expiresAt, now })
    return { text: codec.encode(data, now), at }
  }

  /** True if the name was that of an expired session, which is gone now. */
  async #clear(name: string): Promise<boolean> {
    const parsed = this.#folder.parseName(name)
    if (parsed?.kind === 'temporary') await this.#folder.removeLeftOver(name, this.#options.clock())
    if (parsed?.kind !== 'session') return false
    const { key } = parsed
    const loaded = await this.#load(key)
    if (!loaded.found && loaded.reason === 'not_found') await this.#folder.removeLeftOver(name, this.#options.clock())
    if (!isExpired(loaded)) return false
    // Once more under the lock: it may have been renewed meanwhile.
    return await this.#locks.hold(
      key,
      async () => isExpired(await this.#load(key)) && (await this.#folder.removeExpired(key)),
    )
  }

  async #isExpired(name: string): Promise<boolean> {
    const parsed = this.#folder.parseName(name)
    return parsed?.kind === 'session' && isExpired(await this.#load(parsed.key))
  }

  async #endSweep(): Promise<void> {
    const sweep = this.#sweep
    this.#sweep = undefined
    await sweep?.close()
  }
}

const gone: TransitionResult = { kind: 'gone', reason: 'not_found' }

/** The next names of a listing, at most so many; none at its end. */
async function readNames(listing: Dir, count: number): Promise<string[]> {
  const names: string[] = []
  while (names.length < count) {
    const entry = await listing.read()
    if (entry === null) break
    names.push(entry.name)
  }
  return names
}

function isUnreadable(reason: AbsenceReason): boolean {
  return reason === 'bad_signature' || reason === 'malformed'
}

function isExpired(loaded: LoadResult): boolean {
  return !loaded.found && loaded.reason === 'expired'
}

/**
 * Turns errors of the operating system into `ERR_STORE_UNAVAILABLE`. Their messages name the file, and the file's name is
 * the session's key: the log gets them without the path.
 */
async function guard<T>(step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    if (!isErrno(error)) throw error
    throw storeUnavailable(`the session folder failed: ${error.code} in ${error.syscall}`, withoutPath(error))
  }
}

function withoutPath(error: NodeJS.ErrnoException): Error {
  const message = error.message.replace(/ '.*$/s, '')
  return Object.assign(new Error(message), { code: error.code, errno: error.errno, syscall: error.syscall })
}
