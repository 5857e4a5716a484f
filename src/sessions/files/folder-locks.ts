import type { Stats } from 'node:fs'
import { lstat, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { retryWhileBusy } from '../databases/sqlite-connection.ts'
import { createKeyQueue } from '../key-queue.ts'
import { isErrno, storeUnavailable } from '../store-failure.ts'

/** Keeps two writers from changing one session at once. */
export interface FolderLocks extends AsyncDisposable {
  /**
   * Runs `task` while nobody else, in this process or another, holds the lock of that key.
   *
   * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` when the lock is not to be had in time; what `task` throws, unchanged.
   */
  hold<T>(key: string, task: () => Promise<T>): Promise<T>
}

export interface FolderLocksOptions {
  /** Where the sessions are; the locks live in a folder of their own inside. */
  readonly directory: string
  /** How long to wait for a lock, in milliseconds. */
  readonly timeoutMs: number
}

/**
 * Who waits in another process looks once in a millisecond, and a lock that goes from hand to hand inside this process is
 * never free for that long. So after so many hands it is left free for two looks.
 */
const HANDS_IN_A_ROW = 8
const LEFT_FREE_MS = 2.5

/** So many sessions can be changed at once; keys that share a lock only wait for each other. */
const LOCKS = 32

/**
 * Node has no `flock`, and lock files made with O_EXCL outlive a process that dies with them: whoever then breaks a
 * "stale" lock may break one that was just taken again. So the lock is the kernel's: SQLite's write lock (`fcntl`) on
 * one of a few empty database files, which the kernel lets go of when its process ends, however it ends. There are no
 * stale locks, and nothing is ever written into these files.
 *
 * Limits: it holds between the processes of one machine, and of several only if the network file system has working
 * `fcntl` locks (NFS 4 has; NFS 3 with `nolock` has not). All processes must run as one user, which session files of
 * mode 0600 demand anyway. Django does not know of it.
 */
export function createFolderLocks({ directory, timeoutMs }: FolderLocksOptions): FolderLocks {
  // The user's number in the name: in a shared temporary folder, two users' gateways must not lock each other out.
  const folder = join(directory, `.sessiongate-locks-${process.getuid?.() ?? 'user'}`)
  const open = new Map<number, Lock>()
  const inTurn = createKeyQueue<number>()

  async function openLock(slot: number): Promise<Lock> {
    const known = open.get(slot)
    if (known) return known
    const opened = await createLock(folder, slot)
    open.set(slot, opened)
    return opened
  }

  async function acquire(slot: number, deadlineMs: number): Promise<Lock> {
    if (isGreedy(open.get(slot))) await setTimeout(LEFT_FREE_MS)
    for (;;) {
      const lock = await openLock(slot)
      const wait = { what: `the lock ${lock.path}`, timeoutMs: deadlineMs - performance.now() }
      await retryWhileBusy(() => lock.database.exec('BEGIN IMMEDIATE'), wait)
      if (await isInPlace(lock)) return lock
      // Swept away as an old temporary file: others would take the lock on its successor.
      lock.database.close()
      open.delete(slot)
    }
  }

  return {
    hold(key, task) {
      const slot = slotOf(key)
      const deadlineMs = performance.now() + timeoutMs
      return inTurn(slot, async () => {
        const lock = await acquire(slot, deadlineMs)
        try {
          return await task()
        } finally {
          if (lock.database.isOpen) lock.database.exec('ROLLBACK')
          lock.freedAtMs = performance.now()
        }
      })
    },
    async [Symbol.asyncDispose]() {
      for (const { database } of open.values()) database.close()
      open.clear()
    },
  }
}

interface Lock {
  readonly database: DatabaseSync
  /** When this process last let go of it, on the monotonic clock. */
  freedAtMs: number
  /** How many times in a row it was taken again at once. */
  handsInARow: number
  readonly path: string
  readonly file: Stats
}

/**
 * Never opens the file by any other way than SQLite's: `fcntl` locks belong to the process, and closing another handle
 * of the same file would let them all go.
 */
async function createLock(folder: string, slot: number): Promise<Lock> {
  await makePrivateFolder(folder)
  const path = join(folder, `${slot}.lock`)
  try {
    const database = new DatabaseSync(path, { timeout: 0 })
    // Otherwise a process that is killed would leave a journal file beside the lock.
    database.exec('PRAGMA journal_mode = MEMORY')
    return { database, freedAtMs: Number.NEGATIVE_INFINITY, handsInARow: 0, path, file: await stat(path) }
  } catch (error) {
    throw storeUnavailable(`the lock ${path} could not be opened`, error)
  }
}

/** Told before each turn: this process has had the lock often enough without leaving it free. */
function isGreedy(lock: Lock | undefined): boolean {
  if (lock === undefined) return false
  lock.handsInARow = performance.now() - lock.freedAtMs < 1 ? (lock.handsInARow + 1) % HANDS_IN_A_ROW : 0
  return lock.handsInARow === HANDS_IN_A_ROW - 1
}

async function isInPlace({ path, file }: Lock): Promise<boolean> {
  try {
    const now = await stat(path)
    return now.ino === file.ino && now.dev === file.dev
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false
    throw error
  }
}

/** FNV-1a, 32 bits: every process must come to the same lock for the same key. */
function slotOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash >>> 0) % LOCKS
}

/**
 * The locks' folder, 0700 and ours. In a shared temporary folder somebody else could have made it before us, and would
 * then decide who gets a lock.
 */
async function makePrivateFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
  }
  const state = await lstat(path)
  const isOurs = process.getuid === undefined || (state.uid === process.getuid() && (state.mode & 0o077) === 0)
  if (!state.isDirectory() || !isOurs) throw storeUnavailable(`${path} is not a private folder of this user`)
}
