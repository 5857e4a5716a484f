import type { Clock, EpochMs } from '../../lib/clock.ts'
import type { UserIndex } from '../user-index.ts'

/** The index for sessions in this process's memory: about 200 bytes a session, gone with them. */
export function createMemoryUserIndex(clock: Clock): UserIndex {
  const users = new Map<string, Map<string, EpochMs>>()

  function forget(userId: string, key: string): void {
    const keys = users.get(userId)
    keys?.delete(key)
    if (keys?.size === 0) users.delete(userId)
  }

  return {
    async note(userId, key, expiresAt) {
      const keys = users.get(userId) ?? new Map<string, EpochMs>()
      users.set(userId, keys.set(key, Math.max(expiresAt, keys.get(key) ?? expiresAt)))
    },
    async forget(userId, key) {
      forget(userId, key)
    },
    async *keysOf(userId) {
      for (const [key, expiresAt] of [...(users.get(userId) ?? [])]) if (expiresAt > clock()) yield key
    },
    async clearExpired(limit) {
      let count = 0
      for (const [userId, keys] of users) {
        for (const [key, expiresAt] of keys) {
          if (count === limit) return count
          if (expiresAt > clock()) continue
          forget(userId, key)
          count++
        }
      }
      return count
    },
    async [Symbol.asyncDispose]() {
      users.clear()
    },
  }
}
