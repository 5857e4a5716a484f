import type { Dir } from 'node:fs'
import { lstat, mkdir, open, opendir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { isSessionKey } from '../../django/session-key.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import { syncFolder } from '../folder-sync.ts'
import { isErrno, storeUnavailable } from '../store-failure.ts'
import { type UserIndex, userIdDigest } from '../user-index.ts'

export interface FileUserIndexOptions {
  /** The folder of the sessions; the index is a folder in it. */
  readonly directory: string
  readonly clock: Clock
}

/** Begins with a dot, and with no cookie's name: Django's `clear_expired` and ours pass it by. */
const INDEX_FOLDER = '.sessiongate-users'

/** How often a user's folder is made anew because the sweep took the empty one away. */
const MAX_TRIES = 20

/**
 * The index in files without content, `.sessiongate-users/<hash of the id>/<key>.<end>`: the name says all, so nothing has to
 * be written, no lock is needed, and no crash leaves half a note. A folder for each user, a name for each session and each
 * end that was noted for it; a note costs what the name of a session's file does. The sweep goes through all names.
 */
export function createFileUserIndex(options: FileUserIndexOptions): UserIndex {
  return new FileUserIndex(options)
}

interface Note {
  readonly name: string
  readonly key: string
  readonly expiresAt: EpochMs
}

class FileUserIndex implements UserIndex {
  readonly #directory: string
  readonly #root: string
  readonly #clock: Clock

  constructor({ directory, clock }: FileUserIndexOptions) {
    this.#directory = directory
    this.#root = join(directory, INDEX_FOLDER)
    this.#clock = clock
  }

  async note(userId: string, key: string, expiresAt: EpochMs): Promise<void> {
    // Not only those of files: of a session that is still in another store (`read_also`) the key may have other characters.
    if (!isSessionKey(key)) throw new TypeError('no key of a session')
    const folder = this.#folderOf(userId)
    await guard(async () => {
      for (let attempt = 1; ; attempt++) {
        await this.#makeFolder(folder)
        try {
          await (await open(join(folder, `${key}.${Math.ceil(expiresAt)}`), 'a', 0o600)).close()
          return await syncFolder(folder)
        } catch (error) {
          if (attempt === MAX_TRIES || !isErrno(error, 'ENOENT')) throw error
        }
      }
    })
  }

  async forget(userId: string, key: string): Promise<void> {
    const folder = this.#folderOf(userId)
    await guard(async () => {
      for await (const note of notesIn(folder)) if (note.key === key) await removeName(join(folder, note.name))
    })
  }

  async *keysOf(userId: string): AsyncIterable<string> {
    const notes = notesIn(this.#folderOf(userId))
    for (;;) {
      const next = await guard(() => notes.next())
      if (next.done) return
      if (next.value.expiresAt > this.#clock()) yield next.value.key
    }
  }

  async clearExpired(limit: number): Promise<number> {
    return await guard(async () => {
      let count = 0
      for await (const user of namesIn(this.#root)) {
        const folder = join(this.#root, user)
        for await (const { name, expiresAt } of notesIn(folder)) {
          if (count === limit) return count
          if (expiresAt <= this.#clock() && (await removeName(join(folder, name)))) count++
        }
        // Goes only if it is empty.
        await rmdir(folder).catch(() => undefined)
      }
      return count
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #folderOf(userId: string): string {
    return join(this.#root, userIdDigest(userId))
  }

  async #makeFolder(folder: string): Promise<void> {
    if (await makeFolder(this.#root)) await syncFolder(this.#directory)
    await refuseForeignFolder(this.#root)
    if (await makeFolder(folder)) await syncFolder(this.#root)
  }
}

/** True if it was not there. */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 })
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  }
}

/** In a shared temporary folder somebody else could have made it before us, and would then decide who is found. */
async function refuseForeignFolder(path: string): Promise<void> {
  const state = await lstat(path)
  const isOurs = process.getuid === undefined || (state.uid === process.getuid() && (state.mode & 0o077) === 0)
  if (!state.isDirectory() || !isOurs) throw storeUnavailable(`${path} is not a private folder of this user`)
}

async function* notesIn(folder: string): AsyncGenerator<Note, undefined> {
  for await (const name of namesIn(folder)) {
    const [, key = '', end] = /^([\w.:-]+)\.(-?\d+)$/.exec(name) ?? []
    if (isSessionKey(key)) yield { name, key, expiresAt: Number(end) }
  }
  return undefined
}

async function* namesIn(folder: string): AsyncGenerator<string> {
  let names: Dir
  try {
    names = await opendir(folder)
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return
    throw error
  }
  for await (const { name } of names) yield name
}

/** False if another process was first. */
async function removeName(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
}

/** An error of the operating system names the path, and with it the key: only its code comes out. */
async function guard<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (isErrno(error)) throw storeUnavailable(`the index of users failed: ${error.code} in ${error.syscall}`)
    throw error
  }
}
