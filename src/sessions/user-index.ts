import { createHash } from 'node:crypto'
import { parseJsonValue, readPath, type SessionData } from '../django/json.ts'
import type { EpochMs } from '../lib/clock.ts'

/**
 * Which sessions may be a user's: a superset of the truth, which is in the sessions themselves. What is noted and no longer
 * so does no harm, since whoever looks asks the sessions; what is missing would be a session that a "log out everywhere"
 * leaves alive. `test/contract/user-index.ts` is the definition that every implementation passes.
 *
 * User ids are those of {@link userIdOf}: text of 1 to 200 characters, without controls.
 *
 * @throws {GatewayError} `ERR_STORE_UNAVAILABLE` from any method when the store fails or exceeds its deadline.
 */
export interface UserIndex extends AsyncDisposable {
  /**
   * Notes that the session may be the user's until `expiresAt`; a later end than the one noted before takes its place, an
   * earlier one does not. When it resolves, every process finds the session.
   */
  note(userId: string, key: string, expiresAt: EpochMs): Promise<void>
  /** Drops what was noted; what is not there is dropped already. */
  forget(userId: string, key: string): Promise<void>
  /** The keys noted that are not over, in no particular order, some perhaps twice. What is noted meanwhile may be missing. */
  keysOf(userId: string): AsyncIterable<string>
  /**
   * Deletes at most `limit` of what is over and returns how many; fewer than `limit` means that none is left. 0 where the
   * store drops it by itself.
   */
  clearExpired(limit: number): Promise<number>
}

/** A longer id is noted by its hash: the column of a database, and what an app may write, have their bounds. */
const MAX_USER_ID_LENGTH = 200
const HASHED = 'sha256:'

/** The id of a session's user, or undefined if it is nobody's. */
export type UserIdOf = (data: SessionData) => string | undefined

/**
 * Reads the id at a path such as `userInfo.id`. Text and numbers are ids, and 7, 7.0 and "7" are the same one; everything
 * else (nothing, null, true, empty text, an object) is nobody.
 */
export function compileUserId(path: readonly string[]): UserIdOf {
  return function userIdOf(data) {
    const text = readPath(data, path)
    const value = text === undefined ? undefined : parseJsonValue(text)
    switch (typeof value) {
      case 'string':
        return value === '' ? undefined : storableUserId(value)
      case 'number':
      case 'bigint':
        return String(value)
      default:
        return undefined
    }
  }
}

/** The id as the indexes know it, for one that a person typed. */
export function storableUserId(id: string): string {
  // What looks like a hash is hashed as well, lest a name that somebody chose be the hash of another's.
  const isStorable =
    id.length <= MAX_USER_ID_LENGTH && id.isWellFormed() && !/\p{Cc}/u.test(id) && !id.startsWith(HASHED)
  return isStorable ? id : `${HASHED}${createHash('sha256').update(id, 'utf16le').digest('hex')}`
}

/** An id as part of a key or a path: 64 characters of `0-9a-f`, whatever it is made of. */
export function userIdDigest(userId: string): string {
  return createHash('sha256').update(userId).digest('hex')
}
