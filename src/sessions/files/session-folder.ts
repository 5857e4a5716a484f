import { type BigIntStats, constants, lstatSync, renameSync } from 'node:fs'
import * as nodeFiles from 'node:fs/promises'
import { join } from 'node:path'
import { isFileKey } from '../../django/session-key.ts'
import type { EpochMs } from '../../lib/clock.ts'
import { syncFolder } from '../folder-sync.ts'
import { isErrno } from '../store-failure.ts'
import { MAX_STORED_TEXT_BYTES } from '../stored-text.ts'

/** The calls to the operating system that the folder is made of; an argument, so that tests can let each one fail. */
export interface FileCalls extends Pick<typeof nodeFiles, 'access' | 'open' | 'opendir' | 'rename' | 'unlink'> {
  readonly lstat: (path: string, options: { readonly bigint: true }) => Promise<BigIntStats>
  readonly lstatSync: (path: string, options: { readonly bigint: true }) => BigIntStats
  readonly renameSync: (from: string, to: string) => void
}

const systemCalls: FileCalls = { ...nodeFiles, lstatSync, renameSync }

export interface SessionFolderOptions {
  /** Django's SESSION_FILE_PATH, or the system's temporary directory. It must exist; Django does not create it either. */
  readonly directory: string
  /** Django's SESSION_COOKIE_NAME: what every file name begins with. */
  readonly prefix: string
  readonly files?: FileCalls
}

/** Nothing to read under that key; `malformed`: something is there that is no session file, and it is left alone. */
export type MissingFile = 'not_found' | 'malformed'

/** What a name in the folder is to the sweep. Whatever is neither belongs to somebody else. */
export type FolderName = { readonly kind: 'session'; readonly key: string } | { readonly kind: 'temporary' }

/** The age at which a temporary file counts as left over by a process that died: one hour. */
const LEFT_OVER_AFTER_MS = 3_600_000

/** `O_NOFOLLOW`: a link planted in a shared folder leads nowhere. `O_NONBLOCK`: a pipe planted there does not hang. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const CREATE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const OWNER_ONLY = 0o600

/**
 * A session file that is held open. As long as it is, its inode cannot be given to another file, so that the folder can
 * tell whether the name still leads to it.
 */
export class SessionFile implements AsyncDisposable {
  /** What stands in it, one character a byte. */
  readonly text: string
  /** Its modification time: the moment of the last save, from which ages count. */
  readonly modifiedAt: EpochMs
  readonly state: BigIntStats
  readonly #handle: nodeFiles.FileHandle

  constructor(handle: nodeFiles.FileHandle, state: BigIntStats, text: string) {
    this.#handle = handle
    this.state = state
    this.text = text
    // Rounded: times set as fractional seconds come back some nanoseconds off.
    this.modifiedAt = Math.round(Number(state.mtimeNs / 1000n) / 1000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

/**
 * Django's folder of session files, read and written in such a way that every name leads to a whole file, before and after
 * a crash at any point. Keys must be {@link isFileKey}; whoever writes holds the key's lock (`folder-locks.ts`).
 *
 * Errors of the operating system come out as they are, with paths in them; the engine takes those out.
 */
export class SessionFolder {
  readonly #directory: string
  readonly #prefix: string
  readonly #files: FileCalls
  readonly #temporarySuffix: () => string

  /** @param temporarySuffix Eight fresh characters of `a-z0-9`, as Python's `mkstemp` appends. */
  constructor({ directory, prefix, files = systemCalls }: SessionFolderOptions, temporarySuffix: () => string) {
    if (!/^[^/\\\0]+$/.test(prefix)) throw new TypeError('the prefix of session files is no part of a file name')
    this.#directory = directory
    this.#prefix = prefix
    this.#files = files
    this.#temporarySuffix = temporarySuffix
  }

  /** Opens and reads a session file. A folder that is not there is an error, not an absent session: it may come back. */
  async open(key: string): Promise<SessionFile | MissingFile> {
    let handle: nodeFiles.FileHandle
    try {
      handle = await this.#files.open(this.#pathOf(key), READ_FLAGS)
    } catch (error) {
      return await this.#missing(error)
    }
    try {
      const state = await handle.stat({ bigint: true })
      const file = state.isFile() ? await this.#read(handle, state) : 'malformed'
      if (typeof file === 'string') await handle.close()
      return file
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Stores a file under a name that must be free; false if it is taken. */
  async add(key: string, text: string, at: EpochMs): Promise<boolean> {
    const staged = await this.#stage(key, text, at)
    try {
      // The name is claimed as Django claims it; the empty file is no session to anybody until the rename.
      await (await this.#files.open(this.#pathOf(key), CREATE_FLAGS, OWNER_ONLY)).close()
    } catch (error) {
      await this.#discard(staged)
      if (isErrno(error, 'EEXIST')) return false
      throw error
    }
    try {
      await this.#files.rename(staged, this.#pathOf(key))
      await this.#sync()
    } catch (error) {
      await this.#discard(staged)
      await this.#discard(this.#pathOf(key))
      throw error
    }
    return true
  }

  /**
   * Puts new text in the place of `file`, if the name still leads to it: `gone` if it was deleted, `changed` if another
   * file took its place meanwhile; then nothing is stored.
   */
  async replace(key: string, file: SessionFile, content: { text: string; at: EpochMs }): Promise<Standing> {
    const staged = await this.#stage(key, content.text, content.at)
    try {
      const standing = this.#renameOver(key, file, staged)
      if (standing === 'same') await this.#sync()
      else await this.#files.unlink(staged)
      return standing
    } catch (error) {
      await this.#discard(staged)
      throw error
    }
  }

  /** Tells whether the name still leads to this file. */
  async standing(key: string, file: SessionFile): Promise<Standing> {
    try {
      return compare(await this.#files.lstat(this.#pathOf(key), { bigint: true }), file)
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 'gone'
      throw error
    }
  }

  /** Removes a session file; false if there was none. Of two that remove one file, exactly one is told true. */
  async remove(key: string): Promise<boolean> {
    const isOurs = await this.removeExpired(key)
    if (isOurs) await this.#sync()
    return isOurs
  }

  /** The same for what is over: if it is there again after the machine has crashed, it still is. So nothing is synced. */
  async removeExpired(key: string): Promise<boolean> {
    try {
      await this.#files.unlink(this.#pathOf(key))
      return true
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return false
      throw error
    }
  }

  /**
   * Removes what a process left behind when it died: a temporary file, or the empty file with which it claimed a name.
   * One that may be in use stays.
   */
  async removeLeftOver(name: string, now: EpochMs): Promise<void> {
    const path = join(this.#directory, name)
    const state = await this.#files.lstat(path, { bigint: true }).catch(ignoreAbsence)
    if (!state?.isFile() || Number(state.mtimeMs) >= now - LEFT_OVER_AFTER_MS) return
    if (state.size > 0n && this.parseName(name)?.kind !== 'temporary') return
    await this.#files.unlink(path).catch(ignoreAbsence)
  }

  /** A listing of the folder, read piece by piece: a million names never lie in memory at once. */
  list(): ReturnType<FileCalls['opendir']> {
    return this.#files.opendir(this.#directory, { bufferSize: 256 })
  }

  /** What a name of the listing is; undefined for what is not ours. */
  parseName(name: string): FolderName | undefined {
    if (!name.startsWith(this.#prefix)) return undefined
    const key = name.slice(this.#prefix.length)
    if (isFileKey(key)) return { kind: 'session', key }
    return /^[a-z0-9]+_out_[a-z0-9_]{8}$/.test(key) ? { kind: 'temporary' } : undefined
  }

  /** Resolves if sessions can be stored here: a folder in which names can be read and written. */
  async check(): Promise<void> {
    const { R_OK, W_OK, X_OK } = constants
    await this.#files.access(join(this.#directory, '.'), R_OK | W_OK | X_OK)
  }

  /**
   * The only calls that hold up the process, two of them, on names alone: between the look and the rename a program that
   * takes no lock (Django, at a log-out) may delete the file, and the rename would bring it back. No system call that
   * Node has does both at once. Like this they are some microseconds apart; through the thread pool it was long enough to
   * revive a few of two hundred sessions that Django deleted in the middle of a stream of changes.
   */
  #renameOver(key: string, file: SessionFile, staged: string): Standing {
    const path = this.#pathOf(key)
    let now: BigIntStats
    try {
      now = this.#files.lstatSync(path, { bigint: true })
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return 'gone'
      throw error
    }
    const standing = compare(now, file)
    if (standing === 'same') this.#files.renameSync(staged, path)
    return standing
  }

  #pathOf(key: string): string {
    return join(this.#directory, this.#prefix + key)
  }

  async #missing(error: unknown): Promise<MissingFile> {
    if (isErrno(error, 'ENAMETOOLONG')) return 'not_found'
    // A link (ELOOP; EMLINK on BSD), a socket (ENXIO), somebody else's file (EACCES).
    const isForeign = isErrno(error, 'ELOOP', 'EMLINK', 'ENXIO', 'EACCES', 'EPERM')
    if (!isForeign && !isErrno(error, 'ENOENT')) throw error
    // The same codes tell of a folder that is away or closed, and then nothing is known about the session.
    await this.#files.access(join(this.#directory, '.'), constants.X_OK)
    return isForeign ? 'malformed' : 'not_found'
  }

  async #read(handle: nodeFiles.FileHandle, state: BigIntStats): Promise<SessionFile | MissingFile> {
    // Django's placeholder of a session that is just being created.
    if (state.size === 0n) return 'not_found'
    if (state.size > MAX_STORED_TEXT_BYTES) return 'malformed'
    const bytes = Buffer.alloc(Number(state.size))
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
    return new SessionFile(handle, state, bytes.toString('latin1', 0, bytesRead))
  }

  /** Writes a whole, durable temporary file beside the sessions, under a name like Django's, and returns its path. */
  async #stage(key: string, text: string, at: EpochMs): Promise<string> {
    const path = `${this.#pathOf(key)}_out_${this.#temporarySuffix()}`
    const handle = await this.#files.open(path, CREATE_FLAGS, OWNER_ONLY)
    try {
      try {
        await handle.writeFile(text, 'latin1')
        // The age of a session counts from this time, so it is our clock's, not that of a file server.
        await handle.utimes(at / 1000, at / 1000)
        await handle.sync()
      } finally {
        await handle.close()
      }
    } catch (error) {
      await this.#discard(path)
      throw error
    }
    return path
  }

  /** Best effort, on the way out with an error that matters more; the sweep finds what stays. */
  async #discard(path: string): Promise<void> {
    await this.#files.unlink(path).catch(() => {})
  }

  #sync(): Promise<void> {
    return syncFolder(this.#directory, this.#files.open)
  }
}

/** Where a name leads, compared with a file that was opened under it. */
export type Standing = 'same' | 'changed' | 'gone'

function compare(now: BigIntStats, file: SessionFile): Standing {
  return now.ino === file.state.ino && now.dev === file.state.dev ? 'same' : 'changed'
}

function ignoreAbsence(error: unknown): undefined {
  if (!isErrno(error, 'ENOENT')) throw error
}
