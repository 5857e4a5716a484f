import { createHmac, hkdfSync } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { SessionEngine, SessionEntry } from './engine.ts'

const IDS_REMEMBERED = 10_000

/**
 * The name under which a session appears in logs, assertions and the operator's tools: the first 16 bytes, base64url,
 * of HMAC-SHA-256 over the session key, keyed from `session.secret_key` by HKDF-SHA-256 with info `sessiongate/sid`.
 * It is the same on all machines that share the secret, and new when the key is cycled; the key cannot be found from it.
 */
export function createPublicId(secretKey: string): (sessionKey: string) => string {
  const macKey = Buffer.from(hkdfSync('sha256', secretKey, '', 'sessiongate/sid', 32))
  // Every request needs the id of its session, and most sessions ask again within seconds.
  const known = new LRUCache<string, string>({ max: IDS_REMEMBERED })
  return function publicId(sessionKey) {
    const id = known.get(sessionKey)
    if (id !== undefined) return id
    const made = createHmac('sha256', macKey).update(sessionKey).digest().subarray(0, 16).toString('base64url')
    known.set(sessionKey, made)
    return made
  }
}

/** What it takes to find a session by its public id: every stored one, and how its id is made. */
export interface PublicSessions {
  readonly engine: Pick<SessionEngine, 'entries'>
  readonly publicId: (sessionKey: string) => string
}

/** The session with that public id; undefined where there is none. Nothing leads back from id to key, so all are tried. */
export async function findByPublicId(sessions: PublicSessions, id: string): Promise<SessionEntry | undefined> {
  for await (const entry of sessions.engine.entries()) if (sessions.publicId(entry.key) === id) return entry
  return undefined
}
