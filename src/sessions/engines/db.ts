import { type ExpiryRules, expiryDate } from '../../django/expiry.ts'
import type { SessionData } from '../../django/json.ts'
import type { SessionCodec } from '../../django/session-data.ts'
import type { Clock } from '../../lib/clock.ts'
import type { NewRow, RowDecision, SessionTable, StoredRow } from '../databases/session-table.ts'
import type { LoadResult, SessionEngine, Transition, TransitionResult } from '../engine.ts'
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

/**
 * Django's `db` engine on one `django_session` table. Stricter than Django: the whole of a change is one transaction,
 * and a row whose signature fails is an unknown key instead of an empty session that the next write overwrites.
 * Only `clearExpired` goes by the date alone, as Django's does: what a row holds does not matter once it is over.
 */
export function createDbSessions(table: SessionTable, options: DbSessionsOptions): SessionEngine {
  const { codec, expiryRules, clock, newKey } = options

  function newRow(data: SessionData): NewRow {
    const now = clock()
    return { text: codec.encode(data, now), expiresAt: expiryDate(data, expiryRules, now) }
  }

  function readRow(row: StoredRow | undefined): LoadResult {
    if (row === undefined) return { found: false, reason: 'not_found' }
    if (row.isExpired) return { found: false, reason: 'expired' }
    const stored = readStoredText(row.text, codec)
    return stored.found ? { found: true, data: stored.data, expiresAt: row.expiresAt } : stored
  }

  function decideRow(key: string, row: StoredRow | undefined, decide: Decide): RowDecision<TransitionResult> {
    const current = readRow(row)
    if (!current.found) return { change: { kind: 'keep' }, result: { kind: 'gone', reason: current.reason } }
    const next = decide(current.data)
    switch (next.kind) {
      case 'keep':
        return { change: next, result: { kind: 'kept', data: current.data } }
      case 'update':
        return { change: { kind: 'update', row: newRow(next.data) }, result: { kind: 'stored', key, data: next.data } }
      case 'cycle': {
        const fresh = newKey()
        const change = { kind: 'move', key: fresh, row: newRow(next.data) } as const
        return { change, result: { kind: 'stored', key: fresh, data: next.data } }
      }
      case 'delete':
        return { change: next, result: { kind: 'deleted' } }
    }
  }

  async function transition(key: string, decide: Decide): Promise<TransitionResult> {
    if (keyVerdict(key) !== 'ask') return { kind: 'gone', reason: 'not_found' }
    return await claimFreshKey(() => table.change(key, (row) => decideRow(key, row, decide)))
  }

  return {
    name: 'db',
    isServerSide: true,
    admits: keyVerdict,
    async load(key) {
      return keyVerdict(key) === 'ask' ? readRow(await table.find(key)) : { found: false, reason: 'not_found' }
    },
    create(data) {
      return claimFreshKey(async () => {
        const key = newKey()
        return (await table.insert(key, newRow(data))) ? key : undefined
      })
    },
    transition,
    async delete(key) {
      return (await transition(key, () => ({ kind: 'delete' }))).kind === 'deleted'
    },
    async *entries() {
      for await (const row of table.rows()) {
        const { key, expiresAt } = row
        const stored = keyVerdict(key) === 'ask' ? readRow(row) : undefined
        if (stored?.found) yield { key, data: stored.data, expiresAt }
      }
    },
    clearExpired: (limit) => table.deleteExpired(limit),
    ping: () => table.ping(),
    [Symbol.asyncDispose]: () => table[Symbol.asyncDispose](),
  }
}
