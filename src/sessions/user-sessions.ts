import type { SessionData } from '../django/json.ts'
import type { SessionEngine, SessionEntry } from './engine.ts'
import type { IndexedEngine } from './indexed-engine.ts'
import { storeUnavailable } from './store-failure.ts'
import { storableUserId, type UserIdOf } from './user-index.ts'

/** The sessions of one user, who is named as a person types the id. */
export interface UserSessions {
  /** The way to note what the index of users has not met yet; undefined: there is no index, and every session is looked into. */
  readonly index: Pick<IndexedEngine, 'noteAll'> | undefined
  /** The living ones, in no particular order; see {@link IndexedEngine.sessionsOfUser} for which are known. */
  of(userId: string): AsyncIterable<SessionEntry>
  /** Ends them, and gives the key of each that it has ended. */
  end(userId: string): AsyncIterable<string>
}

/** How often it is looked for sessions that got a new key before they could be ended. */
const MAX_PASSES = 10

/** @param index The engine again, if it has an index of users. */
export function createUserSessions(
  engine: Pick<SessionEngine, 'entries' | 'transition'>,
  userIdOf: UserIdOf,
  index: IndexedEngine | undefined,
): UserSessions {
  async function* scan(userId: string): AsyncIterable<SessionEntry> {
    for await (const entry of engine.entries()) if (userIdOf(entry.data) === userId) yield entry
  }

  const of = (typedUserId: string): AsyncIterable<SessionEntry> =>
    index === undefined ? scan(storableUserId(typedUserId)) : index.sessionsOfUser(typedUserId)

  return {
    index,
    of,
    async *end(typedUserId) {
      const userId = storableUserId(typedUserId)
      // Of a session that is not there any more, or somebody else's now, the successor may have been passed by.
      const endIfHis = (now: SessionData) => ({ kind: userIdOf(now) === userId ? 'delete' : 'keep' }) as const
      for (let pass = 0; pass < MAX_PASSES; pass++) {
        let hasMissed = false
        for await (const { key } of of(typedUserId)) {
          const { kind } = await engine.transition(key, endIfHis)
          if (kind === 'deleted') yield key
          else hasMissed = true
        }
        if (!hasMissed) return
      }
      throw storeUnavailable('the sessions of a user change all the time')
    },
  }
}
