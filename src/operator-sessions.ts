import { randomUUID } from 'node:crypto'
import { OperationRefused, type SessionQuery } from './admin/operations.ts'
import type { Revocation, SessionList, SessionView } from './admin/views.ts'
import { type JsonText, parseJsonValue, type SessionData } from './django/json.ts'
import type { SessionParts } from './session-parts.ts'
import type { SessionEntry } from './sessions/engine.ts'
import { findByPublicId } from './sessions/public-id.ts'
import { hasValue, isExact } from './sessions/value-query.ts'

/** How long a list that was begun is kept for its next page, and how many of them. */
const CURSOR_MS = 60_000
const MAX_CURSORS = 16
const MAX_IDS_TOLD = 1_000
const MAX_COUNTED = 1_000_000

interface Listing {
  readonly entries: AsyncIterator<SessionEntry>
  readonly timer: NodeJS.Timeout
}

/** Looks at the sessions of the configuration in force, and ends them. */
export class OperatorSessions implements AsyncDisposable {
  readonly #parts: () => SessionParts
  readonly #showsValues: () => boolean
  readonly #listings = new Map<string, Listing>()

  constructor(parts: () => SessionParts, showsValues: () => boolean) {
    this.#parts = parts
    this.#showsValues = showsValues
  }

  /** A page of the sessions meant, in no particular order. @throws {OperationRefused} */
  async list(query: SessionQuery | { kind: 'cursor'; cursor: string }, limit: number): Promise<SessionList> {
    const parts = this.#parts()
    const entries =
      query.kind === 'cursor' ? this.#resume(query.cursor) : this.#entriesOf(query)[Symbol.asyncIterator]()
    const sessions: SessionList['sessions'] = []
    let isOver = false
    while (sessions.length < limit && !isOver) {
      const next = await entries.next()
      if (next.done === true) isOver = true
      else sessions.push({ ...headOf(next.value, parts), names: [...next.value.data.keys()] })
    }
    return { sessions, next: isOver ? null : this.#keep(entries), is_whole: parts.engine.lists }
  }

  /** Undefined: there is none. */
  async show(id: string): Promise<SessionView | undefined> {
    const parts = this.#parts()
    const entry = await findByPublicId({ engine: { entries: parts.entries }, publicId: parts.publicId }, id)
    if (entry === undefined) return undefined
    const isShown = this.#showsValues()
    const data = Object.fromEntries(
      [...entry.data].map(([name, text]) => [name, isShown ? plainValue(text) : kindOf(text)]),
    )
    return { ...headOf(entry, parts), values_shown: isShown, data }
  }

  /** @throws {OperationRefused} where nothing is kept that could be ended. */
  async revoke(which: SessionQuery | { kind: 'ids'; ids: readonly string[] }): Promise<Revocation> {
    const parts = this.#parts()
    if (!parts.engine.isServerSide) throw new OperationRefused('signed_cookies keeps nothing that could be revoked')
    const ids: string[] = []
    let revoked = 0
    for await (const key of this.#end(which)) {
      revoked += 1
      if (ids.length < MAX_IDS_TOLD) ids.push(parts.publicId(key))
    }
    return { revoked, ids }
  }

  /** At most a million. */
  async count(): Promise<number> {
    let count = 0
    for await (const _ of this.#parts().entries()) {
      count += 1
      if (count === MAX_COUNTED) break
    }
    return count
  }

  /** What waits to be cleared, at most a million; null where the store forgets by itself. */
  async countExpired(): Promise<number | null> {
    const parts = this.#parts().engine.countExpired(MAX_COUNTED)
    if (parts === undefined) return null
    let count = 0
    for await (const part of parts) count += part
    return count
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const cursor of [...this.#listings.keys()]) await this.#take(cursor)?.return?.()
  }

  async *#end(which: SessionQuery | { kind: 'ids'; ids: readonly string[] }): AsyncIterable<string> {
    const { users, store, publicId, entries } = this.#parts()
    if (which.kind === 'user') {
      if (users === undefined) throw unknownUsers()
      yield* users.end(which.user)
      return
    }
    const missing = which.kind === 'ids' ? new Set(which.ids) : undefined
    const isMeant = which.kind === 'ids' ? () => true : predicateOf(which)
    for await (const { key, data } of entries()) {
      if (missing === undefined ? !isMeant(data) : !missing.delete(publicId(key))) continue
      const { kind } = await store.change(key, (now) => ({ kind: isMeant(now) ? 'delete' : 'keep' }))
      if (kind === 'deleted') yield key
      if (missing?.size === 0) return
    }
  }

  #entriesOf(query: SessionQuery): AsyncIterable<SessionEntry> {
    const { engine, users, entries } = this.#parts()
    if (!engine.isServerSide) throw new OperationRefused('signed_cookies keeps no session that could be listed')
    if (query.kind === 'user') {
      if (users === undefined) throw unknownUsers()
      return users.of(query.user)
    }
    return query.kind === 'all' ? entries() : filtered(entries(), predicateOf(query))
  }

  #keep(entries: AsyncIterator<SessionEntry>): string {
    const [oldest] = this.#listings.keys()
    if (this.#listings.size >= MAX_CURSORS && oldest !== undefined) void this.#take(oldest)?.return?.()
    const cursor = randomUUID()
    const timer = setTimeout(() => void this.#take(cursor)?.return?.(), CURSOR_MS).unref()
    this.#listings.set(cursor, { entries, timer })
    return cursor
  }

  #resume(cursor: string): AsyncIterator<SessionEntry> {
    const entries = this.#take(cursor)
    if (entries === undefined) throw new OperationRefused('the list is not kept any more; begin again')
    return entries
  }

  #take(cursor: string): AsyncIterator<SessionEntry> | undefined {
    const listing = this.#listings.get(cursor)
    clearTimeout(listing?.timer)
    this.#listings.delete(cursor)
    return listing?.entries
  }
}

function headOf({ key, data, expiresAt }: SessionEntry, { publicId, userIdOf }: SessionParts) {
  const expires_at = expiresAt === undefined ? null : new Date(expiresAt).toISOString()
  return { id: publicId(key), user: userIdOf?.(data) ?? null, expires_at }
}

function predicateOf(query: Exclude<SessionQuery, { kind: 'user' }>): (data: SessionData) => boolean {
  if (query.kind === 'all') return () => true
  if (!isExact(query.value))
    throw new OperationRefused('a whole number beyond 2^53 is not told from its neighbours here')
  return (data) => hasValue(data, query)
}

async function* filtered(
  entries: AsyncIterable<SessionEntry>,
  isMeant: (data: SessionData) => boolean,
): AsyncIterable<SessionEntry> {
  for await (const entry of entries) if (isMeant(entry.data)) yield entry
}

/** As `JSON.parse` would read it. */
function plainValue(text: JsonText): unknown {
  return JSON.parse(
    JSON.stringify(parseJsonValue(text), (_, value) => (typeof value === 'bigint' ? Number(value) : value)),
  )
}

/** What a value is, and how large, without what it says. */
function kindOf(text: JsonText): string {
  const value = parseJsonValue(text)
  if (value === null) return 'null'
  if (Array.isArray(value)) return `list of ${value.length}`
  if (typeof value === 'string') return `text of ${value.length}`
  if (typeof value === 'object') return `object of ${Object.keys(value).length}`
  return typeof value === 'boolean' ? 'boolean' : 'number'
}

function unknownUsers(): OperationRefused {
  return new OperationRefused('whose a session is cannot be told: session.user_id is not set')
}
