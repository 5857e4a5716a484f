import { type ExpiryRules, expiryDate } from '../../django/expiry.ts'
import type { SessionData } from '../../django/json.ts'
import type { SessionCodec } from '../../django/session-data.ts'
import type { Clock, EpochMs } from '../../lib/clock.ts'
import type { NewRow, RowDecision, SessionTable, StoredRow } from '../databases/session-table.ts'
import {
  type LoadResult,
  NotAdoptableError,
  type SessionEngine,
  type SessionEntry,
  type Transition,
  type TransitionResult,
} from '../engine.ts'
import { claimFreshKey } from '../fresh-key.ts'
import { keyVerdict } from '../key-verdict.ts'
import { readStoredText } from '../stored-text.ts'

type Decide = (now: SessionData) => Transition

export interface DbSessionsOptions {
  readonly codec: SessionCodec
  readonly expiryRules: ExpiryRules
  readonly clock: Clock
  /** A fresh random key (`django/session-key.ts`). */
  readonly newKey: () => string
}

/** What Django's column `session_key` holds. */
const MAX_ROW_KEY_LENGTH = 40

/**
 * Django's `db` engine on one `django_session` table. Stricter than Django: the whole of a change is one transaction,
 * and a row whose signature fails is an unknown key instead of an empty session that the next write overwrites.
 * Only `clearExpired` and its count go by the date alone, as Django's does: what a row holds does not matter once it is over.
 */
export function createDbSessions(table: SessionTable, options: DbSessionsOptions): SessionEngine {
  return new DbSessions(table, options)
}

class DbSessions implements SessionEngine {
  readonly name = 'db'
  readonly isServerSide = true
  readonly lists = true
  readonly admits = keyVerdict
  readonly #table: SessionTable
  readonly #options: DbSessionsOptions

  constructor(table: SessionTable, options: DbSessionsOptions) {
    this.#table = table
    this.#options = options
  }

  async load(key: string): Promise<LoadResult> {
    if (keyVerdict(key) !== 'ask') return { found: false, reason: 'not_found' }
    return this.#read(await this.#table.find(key))
  }

  create(data: SessionData): Promise<string> {
    return claimFreshKey(async () => {
      const key = this.#options.newKey()
      return (await this.#table.insert(key, this.#newRow(data))) ? key : undefined
    })
  }

  async adopt({ key, data, expiresAt }: SessionEntry): Promise<boolean> {
    if (keyVerdict(key) !== 'ask' || key.length > MAX_ROW_KEY_LENGTH) {
      throw new NotAdoptableError(`the column session_key holds at most ${MAX_ROW_KEY_LENGTH} characters`)
    }
    return await this.#table.insert(key, this.#newRow(data, expiresAt))
  }

  async transition(key: string, decide: Decide): Promise<TransitionResult> {
    if (keyVerdict(key) !== 'ask') return { kind: 'gone', reason: 'not_found' }
    return await claimFreshKey(() => this.#table.change(key, (row) => this.#decide(key, row, decide)))
  }

  async delete(key: string): Promise<boolean> {
    return (await this.transition(key, () => ({ kind: 'delete' }))).kind === 'deleted'
  }

  async *entries(onUnreadable?: (key: string) => void): AsyncIterable<SessionEntry> {
    for await (const row of this.#table.rows()) {
      const { key, expiresAt } = row
      const stored = keyVerdict(key) === 'ask' ? this.#read(row) : undefined
      if (stored?.found) yield { key, data: stored.data, expiresAt }
      else onUnreadable?.(key)
    }
  }

  clearExpired(limit: number): Promise<number> {
    return this.#table.deleteExpired(limit)
  }

  async *countExpired(limit: number): AsyncIterable<number> {
    yield await this.#table.countExpired(limit)
  }

  ping(): Promise<void> {
    return this.#table.ping()
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#table[Symbol.asyncDispose]()
  }

  #newRow(data: SessionData, expiresAt?: EpochMs): NewRow {
    const { codec, expiryRules, clock } = this.#options
    const now = clock()
    return { text: codec.encode(data, now), expiresAt: expiresAt ?? expiryDate(data, expiryRules, now) }
  }

  #read(row: StoredRow | undefined): LoadResult {
    if (row === undefined) return { found: false, reason: 'not_found' }
    if (row.isExpired) return { found: false, reason: 'expired' }
    const stored = readStoredText(row.text, this.#options.codec)
    return stored.found ? { found: true, data: stored.data, expiresAt: row.expiresAt } : stored
  }

  #decide(key: string, row: StoredRow | undefined, decide: Decide): RowDecision<TransitionResult> {
    const current = this.#read(row)
    if (!current.found) return { change: { kind: 'keep' }, result: { kind: 'gone', reason: current.reason } }
    const next = decide(current.data)
    switch (next.kind) {
      case 'keep':
        return { change: next, result: { kind: 'kept', data: current.data } }
      case 'update': {
        const change = { kind: 'update', row: this.#newRow(next.data, next.expiresAt) } as const
        return { change, result: { kind: 'stored', key, data: next.data } }
      }
      case 'cycle': {
        const fresh = this.#options.newKey()
        const change = { kind: 'move', key: fresh, row: this.#newRow(next.data) } as const
        return { change, result: { kind: 'stored', key: fresh, data: next.data } }
      }
      case 'delete':
        return { change: next, result: { kind: 'deleted' } }
    }
  }
}
